"""The application that the measurements build: FastAPI over PostgreSQL."""

import os

from fastapi import FastAPI
from sqlalchemy import create_engine, text

app = FastAPI()
engine = create_engine(os.environ.get("DATABASE_URL", "postgresql+psycopg2:///app"))


@app.get("/")
def index():
    return {"status": "up"}


@app.get("/db")
def database():
    with engine.connect() as connection:
        return {"answer": connection.execute(text("select 6 * 7")).scalar_one()}
