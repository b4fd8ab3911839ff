FROM python:3.12-slim
RUN apt-get update && apt-get install -y build-essential curl && rm -rf /var/lib/apt/lists/*
ENV POETRY_VIRTUALENVS_CREATE=false
WORKDIR /app
COPY . .
RUN pip install poetry && poetry install --no-root
CMD ["poetry", "run", "uvicorn", "main:app", "--reload"]
