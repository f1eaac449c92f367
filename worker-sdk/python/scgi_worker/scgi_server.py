"""The module of that name in the package `scgi`, with workers of scgid in its place.

    from scgi_worker import scgi_server        # was: from scgi import scgi_server

Handler classes, `SCGIServer(...).serve()` and the functions are as they were; the README has a
table of what is different. Under scgid `serve()` makes this process one worker, and the pool is
scgid's; alone, it starts and watches `max_children` of them itself.
"""

import os
import sys
import time
from contextlib import contextmanager
from typing import Any, BinaryIO, Iterator, Optional

from ._serve import Place

#: What a handler is given in place of the descriptor that led to its parent.
NO_PARENT = -1

#: How the bytes of variables are read as text.
HEADER_ENCODING = "iso-8859-1"

_place = Place()


@contextmanager
def placed(place: Place) -> Iterator[None]:
    """Let handlers that begin to serve do it there."""
    global _place
    before, _place = _place, place
    try:
        yield
    finally:
        _place = before


def log(msg: str) -> None:
    timestamp = time.strftime("%Y-%m-%d %H:%M:%S")
    sys.stderr.write(f"[{timestamp}] {msg}\n")


def ns_read_size(input: BinaryIO) -> int:
    """The length that a netstring begins with."""
    size = b""
    while True:
        digit = input.read(1)
        if digit == b":":
            break
        if not digit:
            raise OSError("short netstring read")
        if not digit.isdigit() or len(size) == 10:
            raise ValueError("a netstring begins with its length")
        size += digit
    return int(size)


def ns_reads(input: BinaryIO) -> bytes:
    """The bytes of a netstring."""
    size = ns_read_size(input)
    pieces = []
    while size > 0:
        piece = input.read(size)
        if not piece:
            raise OSError("short netstring read")
        pieces.append(piece)
        size -= len(piece)
    if input.read(1) != b",":
        raise OSError("missing netstring terminator")
    return b"".join(pieces)


def parse_env(headers: bytes) -> "dict[str, str]":
    """The variables in a block of them."""
    items = headers.split(b"\0")[:-1]
    if len(items) % 2 != 0:
        raise ValueError("malformed headers")
    texts = [item.decode(HEADER_ENCODING) for item in items]
    return dict(zip(texts[::2], texts[1::2]))


def read_env(input: BinaryIO) -> "dict[str, str]":
    """The variables that a request begins with."""
    return parse_env(ns_reads(input))


class SCGIHandler:
    """Answers requests. Subclasses override `produce`, or `produce_cgilike`."""

    def __init__(self, parent_fd: int) -> None:
        self.parent_fd = parent_fd

    def serve(self) -> None:
        """Serve until told to leave, then exit."""
        from ._handler import serve_handler

        sys.exit(serve_handler(self, _place))

    def read_env(self, input: BinaryIO) -> "dict[str, str]":
        return read_env(input)

    def handle_connection(self, conn: Any) -> None:
        """Answer the request on a connection. `produce` is easier to override."""
        input = conn.makefile("rb")
        output = conn.makefile("wb")
        env = self.read_env(input)
        bodysize = int(env.get("CONTENT_LENGTH") or 0)
        try:
            self.produce(env, bodysize, input, output)
        finally:
            output.close()
            input.close()

    def produce(self, env: "dict[str, str]", bodysize: int, input: Any, output: Any) -> None:
        """Answer one request.

        `env` has the variables, `input` the body, of `bodysize` bytes. What is written to `output`
        begins with a head: `Content-Type: text/plain\\r\\n\\r\\n`, then the page.

        If it is not overridden, `produce_cgilike` is called in the surroundings of a CGI program.
        """
        from ._cgilike import surroundings

        with surroundings(env, input, output):
            self.produce_cgilike(env, bodysize)

    def produce_cgilike(self, env: "dict[str, str]", bodysize: int) -> None:
        """Answer one request as a CGI program does: the variables are in the environment, the body
        is standard input, the response goes to standard output.

        If it is not overridden, it shows the variables.
        """
        print("Content-Type: text/plain; charset=utf-8\n")
        for name, value in env.items():
            print(f"{name}: {value!r}")


class SCGIServer:
    """Serves with handlers of a class."""

    DEFAULT_PORT = 4000

    def __init__(
        self,
        handler_class: Any = SCGIHandler,
        host: str = "",
        port: int = DEFAULT_PORT,
        max_children: int = 5,
    ) -> None:
        self.handler_class = handler_class
        self.host = host
        self.port = int(port)
        self.max_children = int(max_children)
        self.children: "list[Any]" = []
        self.restart = 0
        self.socket: Any = None

    def serve(self) -> None:
        """Serve until told to leave, then exit."""
        from ._handler import serve_class
        from ._pool import inherited_socket
        from ._serve import is_loaded, is_worker

        is_loaded()
        if is_worker():
            self._serve_here(serve_class)
        self.serve_on_socket(inherited_socket() or self.get_listening_socket())

    def serve_on_socket(self, s: Any) -> None:
        """Serve on this socket, by workers of our own."""
        from ._pool import Pool

        self.socket = s
        s.listen(4096)
        sys.exit(Pool(self).run())

    def get_listening_socket(self) -> Any:
        """A socket at `host` and `port`: on this machine alone if no host is said."""
        import socket

        # Whoever reaches an SCGI port is believed everything he says, so all the world is not a
        # default for it.
        host = self.host or "127.0.0.1"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, self.port))
        return s

    def hup_signal(self, signum: int, frame: object) -> None:
        """All workers are replaced, new ones first."""
        log("got HUP signal, scheduling restart")
        self.restart = 1

    def spawn_child(self, conn: object = None) -> None:
        """Start one worker."""
        from ._pool import spawn

        child = spawn(self)
        self.children.append(child)
        log(f"started child (pid={child.pid} nchild={len(self.children)})")

    def get_child(self, pid: int) -> Optional[Any]:
        return next((child for child in self.children if child.pid == pid), None)

    def reap_children(self) -> None:
        """Forget the workers that have ended."""
        for child in list(self.children):
            if child.has_ended():
                self.children.remove(child)

    def do_stop(self) -> None:
        """Ask all workers to leave when they are done."""
        for child in self.children:
            child.close()

    def do_restart(self) -> None:
        """Ask all workers to leave; others take their places."""
        log("restarting child processes")
        self.do_stop()
        self.restart = 0

    def _serve_here(self, serve_class: Any) -> None:
        """Be one worker; the pool is somebody else's."""
        if self.max_children != 5:
            log(f"max_children={self.max_children} is not used: scgid's configuration says how many")
        sys.exit(serve_class(self.handler_class, _place))


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) == 2 else SCGIServer.DEFAULT_PORT
    SCGIServer(port=port).serve()


if __name__ == "__main__":
    main()
