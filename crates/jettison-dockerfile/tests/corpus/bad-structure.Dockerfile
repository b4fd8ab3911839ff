# escape=x
# escape=\
RUN too early
FORM python
FROM
FROM a b
FROM a as
FROM a AS 1st
FROM a AS b c
FROM $ AS ok
RUM echo
apt-get install -y curl
RUN echo &&
  true
COPPY a b
ONBUILD
ONBUILD FROM x
ONBUILD ONBUILD RUN x
ONBUILD RUNN x
ONBUILD COPY a
\

