"""The pages of `pages` as a WSGI app.

Nothing in here waits for a time: what is to be slow waits for a file that the test makes.
"""

import os
import time
from urllib.parse import parse_qs

from scgi_worker import client_gone

TEXT = [("Content-Type", "text/plain; charset=utf-8")]

#: An answer that no socket takes at once.
LARGE_BYTES = 32 << 20

#: Longest body that the page for small ones takes.
SMALL_MAX_BYTES = 1000


def app(environ, start_response):
    page = PAGES.get(environ["PATH_INFO"])
    if page is None:
        return place(environ, start_response)
    return page(environ, start_response)


def plain(status, body, headers=()):
    def page(environ, start_response):
        start_response(status, [*TEXT, *headers])
        return [body]

    return page


def bare(status, headers=()):
    def page(environ, start_response):
        start_response(status, list(headers))
        return []

    return page


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", TEXT)
    return [body]


def small(environ, start_response):
    if int(environ["CONTENT_LENGTH"]) > SMALL_MAX_BYTES:
        start_response("413 Too Large", TEXT)
        return [b"too large\n"]
    return echo(environ, start_response)


def stream(environ, start_response):
    """Two pieces, the second one when the file `until` exists."""
    until = parse_qs(environ["QUERY_STRING"])["until"][0]
    start_response("200 OK", [*TEXT, ("X-Accel-Buffering", "no")])

    def pieces():
        yield b"piece 0\n"
        while not os.path.exists(until):
            time.sleep(0.002)
        yield b"piece 1\n"

    return pieces()


def abandoned(environ, start_response):
    """Works until nobody waits for it any more, and then says that it is broken."""
    while not client_gone():
        time.sleep(0.002)
    raise RuntimeError("this is in nobody's log")


def variables(environ, start_response):
    start_response("200 OK", TEXT)
    named = sorted((name, value) for name, value in environ.items() if isinstance(value, str))
    return [f"{name} = {escaped(value)}\n".encode() for name, value in named]


def place(environ, start_response):
    """Where the request is."""
    start_response("200 OK", TEXT)
    at = f"{escaped(environ['SCRIPT_NAME'])} {escaped(environ['PATH_INFO'])}\n"
    return [at.encode()]


def escaped(value):
    """As Rust shows bytes; PEP 3333 has them as Latin-1."""
    return "".join(c if " " <= c <= "~" else escape(c) for c in value)


def escape(character):
    return {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(character, rf"\x{ord(character):02x}")


PAGES = {
    "/hello": plain("200 OK", b"hello\n"),
    "/missing": plain("404 Not Found", b"missing\n"),
    "/nothing": bare("204 No Content"),
    "/same": bare("304 Not Modified", [("ETag", '"1"')]),
    "/moved": bare("302 Found", [("Location", "http://localhost/elsewhere")]),
    "/cookies": plain("200 OK", b"two\n", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/")]),
    "/long": plain("200 OK", b"long\n", [(f"X-Long-{n}", "x" * 2500) for n in range(3)]),
    "/large": plain("200 OK", b"x" * LARGE_BYTES),
    "/busy": plain("503 Busy", b"busy\n", [("Retry-After", "1")]),
    "/echo": echo,
    "/small": small,
    "/stream": stream,
    "/variables": variables,
    "/abandoned": abandoned,
}
