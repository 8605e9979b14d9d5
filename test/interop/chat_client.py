"""Two people in the chat, through a WebSocket client that is not ours.

Takes the address of the socket, prints each finding as a line of JSON, "staying" when all is done, and in the end how the
server closed the two connections.
"""
import asyncio
import json
import sys

import websockets


def tell(name, value):
    print(json.dumps({name: value}), flush=True)


async def hear(socket, op):
    """The next message of this kind; others on the way are left out."""
    while True:
        message = json.loads(await socket.recv())
        if message["op"] == op:
            return message


async def enter(url, name, **query):
    socket = await websockets.connect(url + "?" + "&".join(f"{key}={value}" for key, value in {"name": name, **query}.items()))
    tell("welcome", await hear(socket, "welcome"))
    tell("joined", await hear(socket, "joined"))
    return socket


async def end_of(socket):
    try:
        while True:
            await socket.recv()
    except websockets.ConnectionClosed:
        return [socket.close_code, socket.close_reason]


async def main(url):
    ada = await enter(url, "Ada", tab="one")
    bob = await enter(url, "Bob")
    tell("extensions", [str(extension) for extension in ada.extensions])

    await ada.send(json.dumps({"op": "say", "room": "lobby", "text": "Grüße 👋", "id": 1}))
    tell("said", await hear(ada, "said"))
    tell("heard", await hear(bob, "message"))

    # In fragments, the cut in the middle of the text.
    message = json.dumps({"op": "say", "room": "lobby", "text": "in parts", "id": "two"})
    await bob.send([message[:10], message[10:60], message[60:]])
    tell("said", await hear(bob, "said"))
    tell("heard", await hear(ada, "message"))

    for rubbish in ["rubbish", '{"op":"sing"}']:
        await ada.send(rubbish)
        tell("answer", await hear(ada, "error"))

    pong = await ada.ping(b"are you there")
    await pong
    tell("pong", True)

    other = await websockets.connect(url + "?name=Ada&tab=two")
    tell("taken", await end_of(other))

    carol = await enter(url, "Carol")
    await carol.send(b"binary")
    tell("binary", await end_of(carol))

    dave = await enter(url, "Dave")
    await dave.close(1000, "bye")
    tell("left", [dave.close_code, dave.close_reason])

    try:
        await websockets.connect(url)
    except websockets.InvalidStatusCode as error:
        tell("refused", error.status_code)

    print("staying", flush=True)
    tell("ended", await asyncio.gather(end_of(ada), end_of(bob)))


asyncio.run(main(sys.argv[1]))
