ARG V=${
FROM a:${V
FROM a:${V:=1}
ENV A="open B=1
ENV A=${} B=${A/b} C=${A#\x} D=${A^^}
LABEL a='b
WORKDIR ${A:?must be set}
USER "
COPY <<EOF ${x
${y
EOF
COPY <<EOF /x
${y
EOF
COPY <<'EOF' /x
${y
EOF
EXPOSE ${
VOLUME ["${"]
