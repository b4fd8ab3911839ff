ARG VERSION=3.12 VARIANT
ARG REGISTRY="docker.io/library"
# build makes the wheels
FROM --platform=$BUILDPLATFORM ${REGISTRY}/python:${VERSION}-slim AS Build
from python@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa as b.2_x-y
FROM scratch
FROM build
    FROM   0    AS   last
