FROM --plattform=linux/amd64 debian
FROM --platform debian
COPY --form=build a b
COPY --chown a b
COPY --chown=1 --chown=2 a b
COPY --from=$STAGE a b
COPY --frobnicate a b
ADD --from=build a b
CMD --flag x
RUN --mount=type=cach,target=/a x
RUN --mount=target=/a,sharing=locked x
RUN --mount=targt=/a x
RUN --mount=from=$IMAGE,target=/a x
RUN --mount=type=secret x
RUN --mount x
RUN --mount=\"target=/a x
RUN --network=nun x
RUN --security=none x
