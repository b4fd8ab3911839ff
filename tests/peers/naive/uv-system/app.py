import orjson
from aiohttp import web


async def index(request):
    return web.Response(body=orjson.dumps({"status": "up"}), content_type="application/json")


def init(argv):
    app = web.Application()
    app.router.add_get("/", index)
    return app
