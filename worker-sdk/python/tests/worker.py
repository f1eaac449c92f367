"""A worker process for one test, and a front end in a few lines to ask it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path
from typing import Any, Optional

#: Longer than anything takes here, in seconds.
PATIENCE = 30


class Answer:
    """What a worker answered."""

    def __init__(self, raw: bytes) -> None:
        head, separator, self.body = raw.partition(b"\r\n\r\n")
        self.is_whole = bool(separator)
        pairs = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if line]
        self.headers = [(name.lower(), value) for name, value in pairs]
        self.status = self.header("status")

    def header(self, name: str) -> Optional[str]:
        return next((value for other, value in self.headers if other == name), None)


class Worker:
    """`app.py` with this text in a folder of its own, served; killed at the end."""

    def __init__(self, text: str, *arguments: str, **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.socket = str(self.folder / "s")
        (self.folder / "app.py").write_text(textwrap.dedent(text))
        words = arguments or ("app",)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scgi_worker", *words, "--listen", f"unix:{self.socket}"],
            cwd=self.folder,
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said: "list[str]" = []
        self._heard = threading.Condition()
        self._ears = [
            threading.Thread(target=self._listen, args=(stream,), daemon=True)
            for stream in (self.process.stderr, self.process.stdout)
        ]
        for ear in self._ears:
            ear.start()

    def _listen(self, stream: Any) -> None:
        for line in stream:
            with self._heard:
                self.said.append(line.rstrip("\n"))
                self._heard.notify_all()
        with self._heard:
            self._heard.notify_all()

    def __enter__(self) -> "Worker":
        try:
            self.until_said("listening on")
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for ear in self._ears:
            ear.join()
        for stream in (self.process.stderr, self.process.stdout):
            stream.close()
        self._folder.cleanup()

    def until_said(self, text: str) -> None:
        """Wait until a line has `text` in it."""

        def is_said() -> bool:
            return any(text in line for line in self.said) or not any(
                ear.is_alive() for ear in self._ears
            )

        with self._heard:
            self._heard.wait_for(is_said, PATIENCE)
            assert any(text in line for line in self.said), (text, self.said)

    def end(self) -> int:
        """The exit status, once the process ends."""
        status = self.process.wait(PATIENCE)
        for ear in self._ears:
            ear.join(PATIENCE)
        return status

    def leave(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(self.socket)
        return connection

    def ask(
        self, target: str = "/", body: bytes = b"", method: str = "", **variables: str
    ) -> Answer:
        with self.connect() as connection:
            connection.sendall(request(target, body, method, **variables))
            return Answer(rest_of(connection))


def rest_of(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def request(target: str, body: bytes = b"", method: str = "", **variables: str) -> bytes:
    """A request as nginx sends it."""
    path, _, query = target.partition("?")
    said = {
        "CONTENT_LENGTH": str(len(body)),
        "SCGI": "1",
        "REQUEST_METHOD": method or ("POST" if body else "GET"),
        "REQUEST_URI": target,
        "QUERY_STRING": query,
        "DOCUMENT_URI": path,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        **variables,
    }
    block = "".join(f"{name}\0{value}\0" for name, value in said.items()).encode("latin-1")
    return b"%d:%b," % (len(block), block) + body
