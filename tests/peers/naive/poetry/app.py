from quart import Quart, request, websocket

app = Quart(__name__)


@app.get("/")
async def index():
    return {"status": "ok"}


@app.post("/echo")
async def echo():
    return await request.get_data()


@app.websocket("/ws")
async def ws():
    while True:
        await websocket.send(await websocket.receive())
