"""Serving a WSGI callable (PEP 3333). The work is done in Rust; this says what it is made of."""

import sys
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Callable
from wsgiref.util import FileWrapper

from . import _native
from ._serve import Place, is_mounted, is_worker, run
from ._streams import reader


@dataclass
class Parts:
    """What the environ of every request is made of."""

    base: "dict[str, Any]"
    is_mounted: bool
    in_memory: Callable[[bytes], Any] = BytesIO
    as_it_comes: Callable[[Any], Any] = reader


def serve_wsgi(app: Any, place: Place) -> int:
    parts = Parts(base_environ(place.concurrency() > 1, is_worker()), is_mounted())
    return run(lambda: _native.serve_wsgi(app, parts, place))


def base_environ(multithread: bool, multiprocess: bool) -> "dict[str, Any]":
    """What is the same in all requests, and what a front end may forget to say."""
    return {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        # It ends where the body does: reading it to its end is safe.
        "wsgi.input_terminated": True,
        "REQUEST_METHOD": "GET",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "QUERY_STRING": "",
    }
