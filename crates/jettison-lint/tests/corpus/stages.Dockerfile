FROM python:3.11 AS builder
RUN python -m venv /venv && /venv/bin/pip install flask gunicorn psycopg2
FROM builder AS test
RUN pytest
FROM python:3.12-slim
COPY --from=builder /venv /opt/venv
COPY --from=builder /usr/local /usr/local
RUN useradd -u 999999999 app
USER app
CMD ["/opt/venv/bin/gunicorn", "app:app"]
