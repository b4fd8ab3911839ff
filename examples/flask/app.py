from flask import Flask, render_template_string

app = Flask(__name__)

PAGE = "<!doctype html><title>Hello</title><h1>Hello, {{ name }}!</h1>"


@app.get("/")
def index():
    return {"status": "ok"}


@app.get("/hello/<name>")
def hello(name: str):
    return render_template_string(PAGE, name=name)
