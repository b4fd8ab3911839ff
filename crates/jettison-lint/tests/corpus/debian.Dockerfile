# syntax=docker/dockerfile:1
ARG SUITE
FROM debian:${SUITE:-trixie}
# hadolint ignore=DL3008
RUN apt-get update && \
    # The interpreter, and what compiles.
    apt-get install -y python3 python3-pip gcc libpq-dev
RUN <<EOF
set -e
cd /tmp
wget -O- https://example.com/install.sh | sh
rm -rf /var/lib/apt/lists/*
EOF
COPY --chown=app:app requirements.txt requirements-dev.txt .
RUN --mount=type=cache,target=/root/.cache/pip pip3 install --break-system-packages --no-cache-dir -r requirements.txt
HEALTHCHECK CMD curl -f http://localhost:8000/
ENTRYPOINT ["python3", "manage.py", "runserver"]
