"""Small ASGI applications in a real server process: `python served_applications.py '{"application": "echo", …}'`.

Prints one line an event (listening, startup, disconnected, …), which the tests wait for.
"""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

sys.path.insert(0, str(Path(__file__).parents[2]))

from spendra.roles import listening, parent
from spendra.roles.endpoints import Metrics, Routed
from spendra.roles.http_connection import Limits
from spendra.roles.http_server import Server, Site
from spendra.roles.metrics import Exposition, SharedExposition
from spendra.roles.processes import Child, Supervisor


def say(*words):
    print(*words, flush=True)


async def answer(send, body, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive):
    return (await receive())["body"]


async def echo(scope, receive, send):
    body = await read_body(receive)
    report = {
        "pid": os.getpid(),
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
        "length": len(body),
        "start": body[:100].decode("latin-1"),
    }
    await answer(send, json.dumps(report).encode(), headers=[(b"content-type", b"application/json")])


COUNTED = Counter("test_requests", "Requests of the test application.", ["path"])
STATE = Gauge("test_pid", "Which process this is.")
SECONDS = Histogram("test_seconds", "Something observed.", buckets=(1, 2))


async def counting(scope, receive, send):
    await receive()
    COUNTED.labels(scope["path"]).inc()
    STATE.set(os.getpid())
    SECONDS.observe(1.5)
    await answer(send, str(os.getpid()).encode())


async def slow(scope, receive, send):
    say("working")
    await asyncio.sleep(float(scope["query_string"] or 1))
    await answer(send, b"finished")


async def ticking(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(int(scope["query_string"] or 10)):
        await send({"type": "http.response.body", "body": b"tick %d\n" % number, "more_body": True})
        await asyncio.sleep(0.1)
    await send({"type": "http.response.body", "body": b"end\n"})


async def flood(scope, receive, send):
    """As fast as `send` lets it; says how much `send` has taken when the client goes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    sent = 0
    await receive()
    gone = asyncio.create_task(receive())
    while not gone.done() and sent < 2**30:
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        sent += 65536
        say("sent", sent)
        await asyncio.sleep(0)
    say("disconnected")


async def waits_for_disconnect(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first\n", "more_body": True})
    impatient = asyncio.create_task(receive())
    await asyncio.sleep(0.05)
    impatient.cancel()
    say((await receive())["type"])


async def fails(scope, receive, send):
    if scope["path"] == "/midway":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
    if scope["path"] == "/injected":
        await answer(send, b"", headers=[(b"x-evil", b"a\r\nset-cookie: b")])
    raise RuntimeError("deliberate")


async def shapes(scope, receive, send):
    await receive()
    if scope["path"] == "/silent":
        return
    if scope["path"] == "/short":
        await answer(send, b"four", headers=[(b"content-length", b"10")])
    elif scope["path"] == "/nothing":
        await answer(send, b"", status=204)
    elif scope["path"] == "/parts":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Transfer-Encoding", b"chunked")]})
        await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})
    else:
        await answer(send, scope["path"].encode())


class Served:
    def __init__(self, name, start_seconds):
        self.application = globals()[name]
        self.start_seconds = start_seconds

    async def __call__(self, scope, receive, send):
        await self.application(scope, receive, send)

    async def startup(self):
        say("startup")
        await asyncio.sleep(self.start_seconds)
        say("started")

    async def drain(self):
        say("drain")

    async def shutdown(self):
        say("shutdown")


def early_answer(code, message):
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return 400, [(b"content-type", b"application/json")], body


def serve(listener, options):
    limits = Limits(**{"max_body_bytes": 1_000_000, "body_seconds": 30, **options.get("limits", {})})
    folder = options.get("siblings")
    exposition = SharedExposition(Path(folder), options["index"]) if folder else Exposition()
    application = Served(options["application"], options.get("start_seconds", 0))
    server = Server(
        [exposition, application],
        sites=[Site(listener, Routed(application, {"/metrics": Metrics(exposition, "scrape-me")}))],
        limits=limits,
        early_answer=early_answer,
        drain_seconds=options.get("drain_seconds", 10),
    )
    return server.run()


def supervise(listener, options):
    inherited = listener.fileno()
    children = [
        Child(
            f"process {index}",
            [sys.executable, __file__, json.dumps({**options, "index": index, "listener_fd": inherited})],
            inherited=[inherited],
        )
        for index in range(options["processes"])
    ]
    return Supervisor(children, listener=listener, drain_seconds=options.get("drain_seconds", 10)).run()


def main(options, parent_fd=None):
    logging.basicConfig(level=logging.INFO)
    if parent_fd is not None:
        parent.watch(parent_fd, grace_seconds=5)
        return serve(listening.inherit(options["listener_fd"]), options)
    listener = listening.bind("127.0.0.1", 0)
    say("port", listener.getsockname()[1])
    return supervise(listener, options) if "processes" in options else serve(listener, options)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), *(int(number) for number in sys.argv[3:])))
