FROM debian
COPY a b /dest/
COPY ["a file", "/dest dir/"]
COPY --from=build --chown=app:app --chmod=u=rwX,go=rX --link /w /w
COPY --from=0 --parents --exclude=*.pyc --exclude=**/__pycache__ ./src/**/*.py /app/
COPY --link=false --parents=TRUE a$B "${C:-d}" /${E}/
ADD https://example.com/a.tar.gz /tmp/
ADD --checksum=sha256:${SUM} --unpack=false https://example.com/b.tar /tmp/
ADD --keep-git-dir --link --chown=1:2 --exclude=docs https://github.com/moby/buildkit.git#v0.14:docs /src
ADD --keep-git-dir=false --unpack git@example.com:a/b.git /b
COPY \
  one \
  # why two
  two \
  /x
