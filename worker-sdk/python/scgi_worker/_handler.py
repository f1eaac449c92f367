"""Serving with a handler object: of a class like `SCGIHandler`."""

from typing import Any

from . import _native, scgi_server
from ._connection import Connection
from ._serve import Place, is_mounted, run
from ._streams import Output, body


def serve_class(handler_class: Any, place: Place) -> int:
    """Make a handler, and serve with it.

    One that is no `SCGIHandler` of ours, as those made for the package `scgi`, has a `serve` that
    waits for what no parent sends: all that is wanted of it is what it does with a connection.
    """
    with scgi_server.placed(place):
        handler = handler_class(scgi_server.NO_PARENT)
        if not isinstance(handler, scgi_server.SCGIHandler):
            return serve_handler(handler, place)
        try:
            handler.serve()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


def serve_handler(handler: Any, place: Place) -> int:
    """Serve with a handler that is there."""
    answer = by_connection if wants_connection(handler) else by_streams

    def call(env: "dict[str, str]", request: Any) -> None:
        answer(handler, env, request)

    return run(lambda: _native.serve_calls(call, is_mounted(), place))


def wants_connection(handler: Any) -> bool:
    """Whether the handler reads the request from the connection by itself."""
    own = scgi_server.SCGIHandler
    kind = type(handler)
    return not isinstance(handler, own) or (
        kind.handle_connection is not own.handle_connection or kind.read_env is not own.read_env
    )


def by_connection(handler: Any, env: "dict[str, str]", request: Any) -> None:
    connection = Connection(env, request)
    handler.handle_connection(connection)
    connection.end()


def by_streams(handler: Any, env: "dict[str, str]", request: Any) -> None:
    output = Output(request)
    handler.produce(env, request.length, body(request), output)
    output.end()
