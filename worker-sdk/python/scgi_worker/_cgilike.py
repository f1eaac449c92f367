"""The surroundings of a CGI program, for the time of one request."""

import io
import os
import sys
import threading
from contextlib import contextmanager
from typing import Iterator

from ._streams import Output

#: Standard input, output and the environment are one for all threads.
_one_at_a_time = threading.Lock()


@contextmanager
def surroundings(
    env: "dict[str, str]", input: io.BufferedIOBase, output: io.BufferedIOBase
) -> Iterator[None]:
    """Let standard input and output be those of a request, and the environment have its variables.

    Programs that are started meanwhile see the variables as well. What was there before comes
    back, whatever happens.
    """
    with _one_at_a_time:
        before = sys.stdin, sys.stdout
        # What is no UTF-8 comes through unharmed, and is in `.buffer` as it was sent.
        sys.stdin = io.TextIOWrapper(input, "utf-8", errors="surrogateescape", newline="")
        sys.stdout = io.TextIOWrapper(
            output, "utf-8", errors="surrogateescape", newline="\n", write_through=True
        )
        replaced = export(env)
        try:
            yield
        finally:
            restore(replaced)
            if isinstance(output, Output):
                output.finish()
            ours, (sys.stdin, sys.stdout) = (sys.stdin, sys.stdout), before
            for stream in ours:
                if isinstance(stream, io.TextIOWrapper) and not stream.closed:
                    stream.detach()


def export(env: "dict[str, str]") -> "dict[bytes, bytes | None]":
    """Put `env` into the environment; returns what was there instead."""
    replaced = {}
    for name, value in env.items():
        # The header `Proxy`, which any client may send, would become the proxy that programs use.
        if name == "HTTP_PROXY" or not name or "=" in name:
            continue
        key = name.encode("latin-1")
        replaced[key] = os.environb.get(key)
        os.environb[key] = value.encode("latin-1")
    return replaced


def restore(replaced: "dict[bytes, bytes | None]") -> None:
    for key, value in replaced.items():
        if value is None:
            os.environb.pop(key, None)
        else:
            os.environb[key] = value
