"""Serving an ASGI 3 app: HTTP and lifespan. There are no websockets over SCGI.

    threads of the SDK                     the thread of the loop
    accept ─▶ call ─────── run ──────────▶ app(scope, receive, send)
              ▲  └─ read, write ◀── ask ── receive(), send()
              └──────────── done ◀────────┘

The app lives in one event loop, which turns all the time; a request is read and written by the
thread that took it, so that none holds up the others. Threads are requests at once.
"""

import asyncio
import queue
import sys
import threading
from concurrent.futures import wait
from typing import Any, Callable, Optional
from urllib.parse import quote

from . import _native
from ._serve import Place, run, say

#: Bytes of a body in one message.
PIECE_BYTES = 64 << 10

#: How often it is looked whether a client has left whose app wants to know, in seconds.
LOOK = 0.1

#: How long work that outlives its request is waited for at the end, in seconds.
PATIENCE = 20.0


class LifespanFailure(Exception):
    """The app did not come up."""


def serve_asgi(app: Any, place: Place) -> int:
    loop = asyncio.new_event_loop()
    turning = threading.Thread(target=loop.run_forever, name="asgi-loop", daemon=True)
    turning.start()
    lifespan = Lifespan(app, loop)
    try:
        lifespan.startup()
    except LifespanFailure as error:
        say(f"the app did not start: {error}")
        return 1

    at_work: "set[Any]" = set()

    def call(env: "dict[str, str]", request: Any) -> None:
        task = Exchange(app, loop, env, request, lifespan.state).serve()
        at_work.add(task)
        task.add_done_callback(at_work.discard)

    try:
        return run(lambda: _native.serve_calls(call, True, place))
    finally:
        # What goes on after its answer was sent is given time to end.
        wait(list(at_work), PATIENCE)
        lifespan.shutdown()
        loop.call_soon_threadsafe(loop.stop)
        turning.join()


class Exchange:
    """One request, between the thread that has it and the loop that answers it."""

    def __init__(self, app: Any, loop: Any, env: Any, request: Any, state: Any) -> None:
        self.app = app
        self.loop = loop
        self.request = request
        self.left = request.length
        self.scope = scope(env, state)
        #: What the thread is to do, and who waits for it; `None` when it is over.
        self.asked: "queue.SimpleQueue[Any]" = queue.SimpleQueue()
        self.is_received = False
        #: The app waits for the end, be it that the client leaves.
        self.is_listening = False
        self.has_begun = False
        self.is_answered = False
        self.is_over: Any = None

    def serve(self) -> Any:
        """In the thread of the request: do what the app asks for until it has answered.

        Returns the app's task, which may go on after that.
        """
        task = asyncio.run_coroutine_threadsafe(self.answer(), self.loop)
        task.add_done_callback(lambda _: self.asked.put(None))
        while (asked := self.next_deed()) is not None:
            deed, done = asked
            try:
                result, error = deed(), None
            except BaseException as raised:
                result, error = None, raised
            self.loop.call_soon_threadsafe(settle, done, result, error)
        if self.is_answered:
            return task
        # What went wrong with the app comes out here.
        task.result()
        raise RuntimeError("the app returned without an answer")

    def next_deed(self) -> Any:
        """What the app asks for next; looks after the client while the app waits for its end."""
        while self.is_listening and not self.is_answered:
            try:
                return self.asked.get(timeout=LOOK)
            except queue.Empty:
                if self.request.client_gone:
                    self.is_listening = False
                    self.loop.call_soon_threadsafe(self.is_over.set)
        return self.asked.get()

    async def answer(self) -> None:
        self.is_over = asyncio.Event()
        try:
            await self.app(self.scope, self.receive, self.send)
        except BaseException as error:
            if not self.is_answered:
                raise
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            self.is_over.set()

    async def ask(self, deed: Callable[[], Any]) -> Any:
        """In the loop: let the request's thread do it."""
        done = self.loop.create_future()
        self.asked.put((deed, done))
        return await done

    async def receive(self) -> "dict[str, Any]":
        if self.is_received:
            # All there is to hear is that it is over.
            if not self.is_listening and not self.is_over.is_set():
                self.is_listening = True
                self.asked.put((int, self.loop.create_future()))
            await self.is_over.wait()
            return {"type": "http.disconnect"}
        try:
            body = await self.ask(lambda: self.request.read(PIECE_BYTES)) if self.left else b""
        except OSError:
            self.is_received = True
            self.is_over.set()
            return {"type": "http.disconnect"}
        self.left -= len(body)
        self.is_received = self.left == 0
        return {"type": "http.request", "body": body, "more_body": self.left > 0}

    async def send(self, message: "dict[str, Any]") -> None:
        kind = message["type"]
        if self.is_answered:
            raise RuntimeError(f"`{kind}` comes after the end of the response")
        if kind == "http.response.start":
            status, headers = message["status"], pairs(message.get("headers", ()))
            await self.ask(lambda: self.request.begin(status, headers))
            self.has_begun = True
        elif kind == "http.response.body":
            if not self.has_begun:
                raise RuntimeError("`http.response.body` comes before `http.response.start`")
            has_more = bool(message.get("more_body"))
            await self.ask(lambda: self.write(message.get("body", b""), has_more))
            if not has_more:
                self.is_answered = True
                self.is_over.set()
                self.asked.put(None)
        else:
            raise RuntimeError(f"cannot send `{kind}` over SCGI")

    def write(self, body: Any, has_more: bool) -> None:
        if has_more:
            self.request.write(bytes(body))
            self.request.flush()
        else:
            self.request.write_last(bytes(body))


def settle(done: Any, result: Any, error: Optional[BaseException]) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)


class Lifespan:
    """Startup and shutdown of an app, if it wants to know of them."""

    def __init__(self, app: Any, loop: Any) -> None:
        self.app = app
        self.loop = loop
        self.state: "dict[str, Any]" = {}
        self.said: "queue.SimpleQueue[Any]" = queue.SimpleQueue()
        self.to_app: Any = None
        self.is_supported = False

    def startup(self) -> None:
        asyncio.run_coroutine_threadsafe(self.live(), self.loop)
        kind, text = self.said.get()
        self.is_supported = kind == "lifespan.startup.complete"
        if kind == "lifespan.startup.failed":
            raise LifespanFailure(text)

    def shutdown(self) -> None:
        if self.is_supported:
            self.loop.call_soon_threadsafe(self.to_app.put_nowait, {"type": "lifespan.shutdown"})
            kind, text = self.said.get()
            if kind == "lifespan.shutdown.failed":
                say(f"the app did not shut down well: {text}")

    async def live(self) -> None:
        self.to_app = asyncio.Queue()
        self.to_app.put_nowait({"type": "lifespan.startup"})
        scope = {"type": "lifespan", "asgi": VERSIONS, "state": self.state}
        try:
            await self.app(scope, self.to_app.get, self.hear)
            self.said.put(("ended", ""))
        except BaseException as error:
            # An app that knows nothing of lifespan may refuse it in any way it likes.
            if self.is_supported:
                sys.excepthook(type(error), error, error.__traceback__)
            self.said.put(("refused", str(error)))

    async def hear(self, message: "dict[str, Any]") -> None:
        self.said.put((message["type"], message.get("message", "")))


VERSIONS = {"version": "3.0", "spec_version": "2.3"}


def scope(env: "dict[str, str]", state: "dict[str, Any]") -> "dict[str, Any]":
    """What ASGI calls a request."""
    mount = env.get("SCRIPT_NAME", "").rstrip("/")
    path = mount + env["PATH_INFO"]
    raw = env.get("REQUEST_URI", "").partition("?")[0]
    is_secure = env.get("HTTPS", "").lower() in ("on", "1", "yes")
    return {
        "type": "http",
        "asgi": VERSIONS,
        "http_version": env.get("SERVER_PROTOCOL", "HTTP/1.1").partition("/")[2].removesuffix(".0"),
        "method": (env.get("REQUEST_METHOD") or "GET").upper(),
        "scheme": "https" if is_secure else env.get("REQUEST_SCHEME", "http"),
        "path": text(path),
        "raw_path": raw.encode("latin-1") or quote(path.encode("latin-1")).encode(),
        "query_string": env.get("QUERY_STRING", "").encode("latin-1"),
        "root_path": text(mount),
        "headers": headers(env),
        "client": address(env.get("REMOTE_ADDR"), env.get("REMOTE_PORT")),
        "server": address(env.get("SERVER_NAME"), env.get("SERVER_PORT")),
        "state": state.copy(),
    }


def text(latin1: str) -> str:
    return latin1.encode("latin-1").decode("utf-8", "replace")


def headers(env: "dict[str, str]") -> "list[tuple[bytes, bytes]]":
    found = []
    for name, value in env.items():
        if name.startswith("HTTP_"):
            name = name[5:]
        elif name not in ("CONTENT_TYPE", "CONTENT_LENGTH") or not value:
            continue
        found.append((name.replace("_", "-").lower().encode("latin-1"), value.encode("latin-1")))
    return found


def address(host: Optional[str], port: Optional[str]) -> "Optional[tuple[str, int]]":
    if not host:
        return None
    return host, int(port) if port and port.isdigit() else 0


#: About the connection, which is the front end's.
HOP_BY_HOP = (b"connection", b"keep-alive", b"transfer-encoding", b"upgrade")


def pairs(headers: Any) -> "list[tuple[bytes, bytes]]":
    return [(bytes(name), bytes(value)) for name, value in headers if name.lower() not in HOP_BY_HOP]
