"""Serving an app in this process, whatever its kind."""

import inspect
import os
import signal
import sys
from dataclasses import dataclass
from typing import Callable, Optional

KINDS = ("wsgi", "asgi", "handler")


@dataclass
class Place:
    """Where and how to serve. What is not said is found, as by every worker."""

    listen: Optional[str] = None
    threads: Optional[int] = None
    #: Number of a listening socket that is handed over for good.
    socket: Optional[int] = None

    def concurrency(self) -> int:
        """How many requests there will be at once."""
        if self.threads:
            return self.threads
        said = os.environ.get("SCGI_CONCURRENCY", "") if is_worker() else ""
        return max(int(said), 1) if said.isdigit() else 1


def serve(
    app: object,
    *,
    kind: Optional[str] = None,
    listen: Optional[str] = None,
    threads: Optional[int] = None,
) -> int:
    """Serve `app` until told to leave, and return the exit status to leave with.

    `kind` is "wsgi", "asgi" or "handler", and shows from the app if it is not said. `listen` is
    where to listen if no socket was handed over and no `--listen` is among the arguments.
    """
    kind = kind or kind_of(app)
    if kind == "asgi":
        from ._asgi import serve_asgi as serve_it
    elif kind == "handler":
        from ._handler import serve_class as serve_it
    elif kind == "wsgi":
        from ._wsgi import serve_wsgi as serve_it
    else:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    is_loaded()
    return serve_it(app, Place(listen, threads))


def kind_of(app: object) -> str:
    """What an app is, by its looks."""
    if inspect.isclass(app) and (hasattr(app, "produce") or hasattr(app, "handle_connection")):
        return "handler"
    if not callable(app):
        kind = type(app).__name__
        raise TypeError(f"an app is a callable or a handler class, not this {kind}")
    call = app if inspect.isroutine(app) else getattr(app, "__call__", app)
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call):
        return "asgi"
    return "wsgi"


def is_worker() -> bool:
    """Whether this process was born as a worker of scgid."""
    return "SCGI_APP" in os.environ and os.environ.get("LISTEN_PID") == str(os.getpid())


def is_loaded() -> None:
    """Say that the app is, and all that serves it. Where workers are forked from this process, returns in them alone."""
    if "SCGI_TEMPLATE_FD" in os.environ:
        from ._template import fork_workers

        fork_workers()


def is_mounted() -> bool:
    """Whether the configuration says where the app is mounted."""
    return is_worker() and "SCGI_MOUNT" in os.environ


def get_ready() -> None:
    """Leave signals to the SDK, and let what is printed be read at once.

    A Python handler of these signals would raise in the middle of a request, or not be heard of
    while the worker waits. What an app wants to do at its end belongs to `atexit`.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        handler = signal.getsignal(number)
        if callable(handler):
            if handler is not signal.default_int_handler:
                name = signal.Signals(number).name
                say(f"the app's own handler of {name} is not used; `atexit` runs at the end")
            signal.signal(number, signal.SIG_DFL)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)


def run(serve_it: Callable[[], int]) -> int:
    """Serve by `serve_it`, and see to it that what was printed is out at the end."""
    get_ready()
    try:
        return serve_it()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()


def say(text: str) -> None:
    sys.stderr.write(f"scgi_worker: {text}\n")
