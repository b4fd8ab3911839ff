FROM python:3.12
COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /bin/uv
WORKDIR app
COPY pyproject.toml uv.lock ./
RUN uv sync
ENV UV_EXTRA_INDEX_URL=https://user:token@pypi.example.com/simple
COPY . .
RUN chown -R app /app
CMD uv run uvicorn main:app
