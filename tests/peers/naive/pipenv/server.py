import bottle


@bottle.route("/")
def index():
    return {"status": "up"}


bottle.run(server="waitress", host="0.0.0.0", port=8000)
