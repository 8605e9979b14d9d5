"""Two people in the chat, through a WebSocket client that is not ours.

Takes the address of the socket, prints each finding as a line of JSON, "staying" when all is done, and in the end how the
server closed the two connections.
"""
import asyncio
import json
import sys

import websockets

SUBPROTOCOLS = ["hub.v1.json"]
LOBBY = "chat:lobby"


def tell(name, value):
    print(json.dumps({name: value}), flush=True)


async def hear(socket, op, **members):
    """The next message of this kind; others on the way are left out."""
    while True:
        message = json.loads(await socket.recv())
        if message["op"] == op and members.items() <= message.items():
            return message


async def enter(url, name, **query):
    address = url + "?" + "&".join(f"{key}={value}" for key, value in {"name": name, **query}.items())
    socket = await websockets.connect(address, subprotocols=SUBPROTOCOLS)
    tell("hello", await hear(socket, "hello"))
    await socket.send(json.dumps({"op": "resume"}))
    await socket.send(json.dumps({"op": "join", "room": LOBBY, "id": "join"}))
    tell("joined", await hear(socket, "joined", room=LOBBY))
    await socket.send(json.dumps({"op": "presence", "room": LOBBY, "id": "who"}))
    tell("people", [user["user"] for user in (await hear(socket, "reply", id="who"))["data"]["users"]])
    return socket


def say(text, id):
    return json.dumps({"op": "event", "event": "say", "id": id, "data": {"room": LOBBY, "id": f"m-{id}", "text": text}})


async def end_of(socket):
    told = []
    try:
        while True:
            told.append(json.loads(await socket.recv())["op"])
    except websockets.ConnectionClosed:
        return [socket.close_code, socket.close_reason, "goodbye" in told]


async def main(url):
    ada = await enter(url, "Ada", tab="one")
    bob = await enter(url, "Bob")
    tell("chosen", [ada.subprotocol, [str(extension) for extension in ada.extensions]])

    await ada.send(say("Grüße 👋", 1))
    tell("said", await hear(ada, "reply", id=1))
    tell("heard", await hear(bob, "message", room=LOBBY))

    # In fragments, the cut in the middle of the text.
    message = say("in parts", "two")
    await bob.send([message[:10], message[10:60], message[60:]])
    tell("said", await hear(bob, "reply", id="two"))
    tell("heard", await hear(ada, "message", offset=2))

    for rubbish in ["rubbish", '{"op":"sing","id":3}']:
        await ada.send(rubbish)
        tell("answer", await hear(ada, "error"))

    pong = await ada.ping(b"are you there")
    await pong
    tell("pong", True)
    await ada.send('{"op":"ping"}')
    tell("pong", await hear(ada, "pong"))

    other = await websockets.connect(url + "?name=Ada&tab=two", subprotocols=SUBPROTOCOLS)
    await other.send('{"op":"resume"}')
    tell("taken", await end_of(other))

    carol = await enter(url, "Carol")
    await carol.send(b"binary")
    tell("binary", await end_of(carol))

    dave = await enter(url, "Dave")
    await dave.close(1000, "bye")
    tell("left", [dave.close_code, dave.close_reason])

    for address, subprotocols in [(url, SUBPROTOCOLS), (url + "?name=Eve", None)]:
        try:
            await websockets.connect(address, subprotocols=subprotocols)
        except websockets.InvalidStatusCode as error:
            tell("refused", error.status_code)

    print("staying", flush=True)
    tell("ended", await asyncio.gather(end_of(ada), end_of(bob)))


asyncio.run(main(sys.argv[1]))
