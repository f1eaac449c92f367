"""Files over the two ends of a request.

Both are usable in the call that was made for the request, by the thread that it was made in.
"""

import io
from typing import Any

#: Bytes read ahead, and written together.
BUFFER_BYTES = 64 << 10

#: A body up to this size that has come is taken as a whole.
SHORT_BYTES = 256 << 10

#: A piece from this size on, in bytes, is passed on as it is.
LARGE_BYTES = 8 << 10


class RawBody(io.RawIOBase):
    """The body as it comes, after `ahead`. Ends where the body does, not where the peer does."""

    def __init__(self, request: Any, ahead: bytes = b"") -> None:
        self._request = request
        self._ahead = ahead

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        if self._ahead:
            piece, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            piece = self._request.read(size) if size else b""
        buffer[: len(piece)] = piece
        return len(piece)


class RawReply(io.RawIOBase):
    """A response as CGI writes it: a head first, which may come in pieces, then the body."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._head = b""
        self._has_begun = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        data = bytes(data)
        if self._has_begun:
            self._request.write(data)
            return len(data)
        self._head += data
        taken = self._request.begin_cgi(self._head)
        if taken is not None:
            self._has_begun = True
            body, self._head = self._head[taken:], b""
            self._request.write(body)
        return len(data)

    def push(self) -> None:
        """Send what was written so far."""
        if self._has_begun:
            self._request.flush()

    def end(self) -> None:
        """Make sure that what was written is a response."""
        if not self._has_begun:
            raise ValueError(f"no response head was written, but {self._head[:80]!r}")


class Output(io.BufferedWriter):
    """Where a handler writes its response, head and body."""

    def __init__(self, request: Any) -> None:
        super().__init__(RawReply(request), BUFFER_BYTES)
        self._is_closing = False

    def write(self, data: Any) -> int:
        if len(data) < LARGE_BYTES or type(data) is not bytes:
            return super().write(data)
        # What was written before goes first; nothing of this is copied.
        super().flush()
        return self.raw.write(data) or 0

    def flush(self) -> None:
        super().flush()
        # At the end there is no hurry: the head can then say how long the body is.
        if not self._is_closing:
            self.raw.push()  # type: ignore[attr-defined]

    def close(self) -> None:
        self.finish()
        super().close()

    def finish(self) -> None:
        """Say that nothing more than what is on its way will be written."""
        self._is_closing = True

    def end(self) -> None:
        """Pass on what is left, and make sure that it is a response."""
        self.close()
        self.raw.end()  # type: ignore[attr-defined]


class Body(io.BytesIO):
    """A body that is in memory."""

    def peek(self, size: int = 0) -> bytes:
        """What comes next, as from a file that reads ahead."""
        return bytes(self.getbuffer()[self.tell() :])


def reader(request: Any) -> io.BufferedReader:
    """The body of `request` as a file."""
    return io.BufferedReader(RawBody(request), BUFFER_BYTES)


def body(request: Any) -> io.BufferedIOBase:
    """The body of a request that is under way as a file, in memory if it is short and there."""
    if request.length <= min(request.at_hand, SHORT_BYTES):
        return Body(request.read(request.length))
    return reader(request)
