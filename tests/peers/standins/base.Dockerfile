# Stand-ins for debian:trixie, python:3.12 and python:3.12-slim where Docker Hub cannot be reached: a Debian root file system,
# and the same with its interpreter moved to where the official images have theirs, /usr/local. The full one adds what theirs
# takes from buildpack-deps, without ImageMagick and GLib.

FROM scratch AS unpacked
ADD debian.tar /
COPY apt.conf /etc/apt/apt.conf.d/docker-clean
COPY pip.conf /etc/pip.conf

FROM scratch AS debian
COPY --from=unpacked / /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["bash"]

FROM unpacked AS relocated
RUN <<EOT
set -e
apt-get update
apt-get install -y --no-install-recommends ca-certificates netbase python3 python3-venv tzdata
EOT
RUN --mount=type=bind,source=relocate.sh,target=/mnt/relocate.sh sh /mnt/relocate.sh
# uv, Poetry and Pipenv ask PyPI itself, and trust whom this machine trusts.
COPY certificates.crt /usr/local/share/certificates.crt

FROM scratch AS slim
COPY --from=relocated / /
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
ENV SSL_CERT_FILE=/usr/local/share/certificates.crt REQUESTS_CA_BUNDLE=/usr/local/share/certificates.crt
CMD ["python3"]

FROM slim AS full
RUN <<EOT
set -e
apt-get update
apt-get install -y --no-install-recommends \
    autoconf automake bzip2 curl default-libmysqlclient-dev dpkg-dev file g++ gcc git libbz2-dev libc6-dev \
    libcurl4-openssl-dev libdb-dev libevent-dev libffi-dev libgdbm-dev libgmp-dev libjpeg-dev libkrb5-dev liblzma-dev \
    libncurses-dev libpng-dev libpq-dev libreadline-dev libsqlite3-dev libssl-dev libtool libwebp-dev libxml2-dev \
    libxslt-dev libyaml-dev make patch unzip wget xz-utils zlib1g-dev
rm -rf /var/lib/apt/lists/*
EOT
