"""A client of hub.v1 (docs/protocol.md): publishes each line of its input in a room, and prints what is published there, each
message once and in order, however often the connection breaks. It ends when the server closes it for good. It needs websockets
(Debian: python3-websockets): python3 python_client.py ws://127.0.0.1:3000/ws lobby"""
import asyncio, contextlib, json, random, sys, websockets

FINAL = {1000, 1002, 1003, 1007, 1008, 1009, 1010, *range(4500, 5000)}  # close codes: do not come back


class Client:
    def __init__(self, url, room):
        self.url, self.room, self.socket, self.lock = url, room, None, asyncio.Lock()
        self.session, self.rooms, self.last_id, self.requests = "", {}, 0, {}  # what outlives a connection

    async def run(self, wait=0, code=None):
        while code not in FINAL:
            await asyncio.sleep(random.uniform(0, wait))
            wait = min(30, 2 * wait or 1)
            try:
                async with websockets.connect(self.url, subprotocols=["hub.v1.json"]) as socket:
                    await socket.send(json.dumps({"op": "resume", "id": 0, "session": self.session, "rooms": self.rooms}))
                    await socket.send(json.dumps({"op": "join", "room": self.room}))
                    while True:
                        await self.on_message(socket, **json.loads(await socket.recv()))
                        wait = 1
            except (OSError, websockets.WebSocketException) as error:
                code = getattr(error, "code", None)

    async def on_message(self, socket, op, id=None, session=None, epoch=None, offset=None, recovered=True, data=None, **_):
        if op == "hello":
            socket.session = session
        elif op in ("joined", "gap"):
            self.rooms[self.room] = {"epoch": epoch, "offset": offset}
        elif op in ("message", "skip") and offset:
            self.rooms[self.room]["offset"] = offset
        if op == "message":
            print(json.dumps(data), flush=True)
        elif op in ("gap", "error") or not recovered:
            print("lost, or refused:", op, file=sys.stderr)
        self.requests.pop(id, None)
        if id == 0:
            async with self.lock:  # what has no answer goes again, under its old id: the server does it once
                self.session, self.socket = socket.session, socket
                for request in [*self.requests.values()]:
                    await socket.send(json.dumps(request))

    async def publish(self, data):
        async with self.lock:
            self.last_id += 1
            self.requests[self.last_id] = {"op": "publish", "room": self.room, "data": data, "id": self.last_id}
            with contextlib.suppress(websockets.ConnectionClosed):  # then the next connection sends it
                if self.socket:
                    await self.socket.send(json.dumps(self.requests[self.last_id]))

    async def main(self):
        running = asyncio.create_task(self.run())
        while line := await asyncio.to_thread(sys.stdin.readline):
            await self.publish(line.rstrip("\n"))
        await running

asyncio.run(Client(*sys.argv[1:]).main())
