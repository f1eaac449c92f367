"""A connection as `handle_connection` of a classic handler sees it.

The worker has read and checked the request's head already, and will send the response; this plays
the one back as it came over the wire, and takes the other as it would go there. It does what a
handler does with a socket, and is none: there is no descriptor to select on.
"""

import io
from typing import Any, Optional

from ._streams import Output, RawBody


class Connection:
    """One request, with the methods of a socket."""

    def __init__(self, env: "dict[str, str]", request: Any) -> None:
        self._env = env
        self._input = RawBody(request, encode(env))
        self._output = Output(request)

    def makefile(
        self,
        mode: str = "r",
        buffering: Optional[int] = None,
        *,
        encoding: Optional[str] = None,
        errors: Optional[str] = None,
        newline: Optional[str] = None,
    ) -> Any:
        kind = mode.replace("b", "")
        if kind not in ("r", "w"):
            raise ValueError(f"invalid mode {mode!r} (only r, rb, w, wb allowed)")
        if kind == "r":
            file: Any = self._input if buffering == 0 else io.BufferedReader(self._input)
        else:
            file = Borrowed(self._output)
        if "b" in mode:
            return file
        return io.TextIOWrapper(file, encoding, errors, newline)

    def recv(self, size: int, flags: int = 0) -> bytes:
        return self._input.read(size) or b""

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        view = memoryview(buffer)
        return self._input.readinto(view[: size or len(view)])

    def send(self, data: Any, flags: int = 0) -> int:
        self.sendall(data)
        return len(data)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._output.write(data)
        self._output.flush()

    def getpeername(self) -> "tuple[str, int]":
        port = self._env.get("REMOTE_PORT", "")
        return self._env.get("REMOTE_ADDR", ""), int(port) if port.isdigit() else 0

    def fileno(self) -> int:
        raise io.UnsupportedOperation(
            "the connection is the worker's; read and write it by its methods or makefile()"
        )

    def settimeout(self, value: Optional[float]) -> None:
        """The worker has its own limits."""

    def gettimeout(self) -> None:
        return None

    def setblocking(self, flag: bool) -> None:
        """It is one that blocks."""

    def shutdown(self, how: int) -> None:
        """The worker does it."""

    def close(self) -> None:
        """The worker does it."""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def end(self) -> None:
        """Send what is left, and make sure that it is a response."""
        self._output.end()


class Borrowed(io.BufferedIOBase):
    """The way out, which others may write to when this is closed."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._output.write(data)

    def flush(self) -> None:
        # Closing flushes as well, and is no reason to send before the end is known.
        if not self.closed:
            self._output.flush()

    def close(self) -> None:
        if not self.closed:
            # Not BufferedIOBase.close(), which flushes.
            self.__dict__["_closed"] = True

    @property
    def closed(self) -> bool:
        return bool(self.__dict__.get("_closed"))


def encode(env: "dict[str, str]") -> bytes:
    """The head of a request as it goes over the wire."""
    length = env.get("CONTENT_LENGTH") or "0"
    rest = [(name, value) for name, value in env.items() if name != "CONTENT_LENGTH"]
    pairs = [("CONTENT_LENGTH", length), *rest]
    block = "".join(f"{name}\0{value}\0" for name, value in pairs).encode("latin-1")
    return b"%d:%b," % (len(block), block)
