# Stand-ins for debian:trixie, python:3.12 and python:3.12-slim where Docker Hub cannot be reached, and for distroless: a Debian root file system,
# and the same with its interpreter moved to where the official images have theirs, /usr/local. The full one adds the packages
# that theirs has.

FROM scratch AS debian
ADD debian.tar /
COPY apt.conf /etc/apt/apt.conf.d/docker-clean
COPY pip.conf /etc/pip.conf
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["bash"]

# uv, Poetry and Pipenv ask PyPI itself, and trust whom this machine trusts.
FROM debian AS trusting
COPY certificates.crt /usr/local/share/certificates.crt
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
ENV SSL_CERT_FILE=/usr/local/share/certificates.crt REQUESTS_CA_BUNDLE=/usr/local/share/certificates.crt
CMD ["python3"]

FROM trusting AS slim
RUN --mount=type=bind,source=relocate.sh,target=/mnt/relocate.sh <<EOT
set -e
apt-get update
apt-get install -y --no-install-recommends ca-certificates netbase python3 python3-venv tzdata
sh /mnt/relocate.sh
EOT

# Packages with modules of their own want Debian's interpreter where it was. Only slim images leave documentation out.
FROM trusting AS full
RUN --mount=type=bind,source=relocate.sh,target=/mnt/relocate.sh <<EOT
set -e
rm -f /etc/dpkg/dpkg.cfg.d/99mmdebstrap
apt-get update
apt-get install -y --no-install-recommends ca-certificates netbase python3 python3-venv tzdata \
    autoconf automake bzip2 curl default-libmysqlclient-dev dpkg-dev file g++ gcc git gnupg imagemagick libbluetooth-dev \
    libbz2-dev libc6-dev libcurl4-openssl-dev libdb-dev libevent-dev libffi-dev libgdbm-dev libglib2.0-dev libgmp-dev \
    libjpeg-dev libkrb5-dev liblzma-dev libmagickcore-dev libmagickwand-dev libmaxminddb-dev libncurses-dev libpng-dev \
    libpq-dev libreadline-dev libsqlite3-dev libssl-dev libtool libwebp-dev libxml2-dev libxslt-dev libyaml-dev make \
    mercurial openssh-client patch procps subversion tk-dev unzip uuid-dev wget xz-utils zlib1g-dev
sh /mnt/relocate.sh
EOT

FROM debian AS pruned
RUN <<EOT
set -e
apt-get update
apt-get install -y --no-install-recommends ca-certificates netbase python3 tzdata
printf 'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >>/etc/passwd
printf 'nonroot:x:65532:\n' >>/etc/group
install -d -o 65532 -g 65532 -m 700 /home/nonroot
EOT
# The last step takes away what it would need to run another: no shell, no package manager.
RUN <<EOT
#!/usr/bin/python3
import os, shutil
for directory in ("/usr/bin", "/usr/sbin"):
    for name in os.listdir(directory):
        if not name.startswith("python3"):
            os.unlink(os.path.join(directory, name))
for path in ("apt", "dpkg", "debconf", "perl5", "perl", "perl-base", "x86_64-linux-gnu/perl-base", "aarch64-linux-gnu/perl-base"):
    for above in ("/etc", "/usr/lib", "/usr/share", "/var/lib", "/var/cache"):
        if (above, path) != ("/var/lib", "dpkg"):
            shutil.rmtree(os.path.join(above, path), ignore_errors=True)
EOT
COPY certificates.crt /usr/local/share/certificates.crt

FROM scratch AS distroless
COPY --from=pruned / /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
ENV SSL_CERT_FILE=/usr/local/share/certificates.crt
USER 65532
WORKDIR /home/nonroot
ENTRYPOINT ["/usr/bin/python3"]
