ARG GLOBAL
FROM debian
# NAME of the thing
# it is long
ARG NAME
ARG A=1 B="two words" C= D='$x' E=\ f
ENV K=v L="a \"b\" $K" M=a\ b N='single $K' O="" P=${K:-"x y"}
ENV OLD some words  with "quotes"
LABEL org.opencontainers.image.title="The title" "quoted key"=x multi="line\
 two"
LABEL old style label
EXPOSE 80 443/tcp 53/udp 8000-8010/TCP $PORT ${A}000-${A}010
USER app:app
USER two words
WORKDIR /a path/with spaces
VOLUME /data /more
VOLUME ["/json data", "/two"]
STOPSIGNAL SIGTERM
STOPSIGNAL ${SIG}
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
MAINTAINER A Person <a@example.com>
