# syntax=docker/dockerfile:1
FROM python:3.12

RUN a \
  && b
COPY <<EOF /x
line
EOF
CMD ["a"]