import psycopg2
from flask import Flask

app = Flask(__name__)


@app.get("/")
def index():
    return {"psycopg2": psycopg2.__version__}
