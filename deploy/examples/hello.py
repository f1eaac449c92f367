#!/usr/bin/python3
"""An SCGI program that is handed its sockets as systemd does it, with nothing but the standard library.

It keeps every contract that a program in any language can keep without a library: LISTEN_FDS,
READY=1 and STOPPING=1, and leaving on SIGTERM without losing a connection.

  apps:
    hello: {run: [/srv/hello.py], listen: [unix:/run/scgid/hello.sock, "127.0.0.1:4000"]}
"""

import os
import select
import signal
import socket
import sys

CLIENT_TIMEOUT_S = 10


def inherited():
    """The listening sockets, which stand at 3 and after; announced to this process and no other."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        sys.exit("nobody handed over a socket")
    listeners = [socket.socket(fileno=3 + n) for n in range(int(os.environ["LISTEN_FDS"]))]
    for listener in listeners:
        # Another worker may have been faster; nobody waits in accept(2).
        listener.setblocking(False)
    return listeners


def notify(text):
    """Says something to whoever started this program, if they listen."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(text.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


def exactly(stream, count):
    data = stream.read(count)
    if len(data) != count:
        raise EOFError("the client left in the middle of its request")
    return data


def variables_of(stream):
    length = b""
    while (byte := exactly(stream, 1)) != b":":
        length += byte
        if not byte.isdigit() or len(length) > 7:
            raise ValueError("this is no netstring")
    fields = exactly(stream, int(length) + 1)[:-2].split(b"\0")
    return {name.decode("latin-1"): value for name, value in zip(fields[::2], fields[1::2])}


def answer(connection):
    with connection, connection.makefile("rb") as stream:
        connection.settimeout(CLIENT_TIMEOUT_S)
        variables = variables_of(stream)
        body = exactly(stream, int(variables["CONTENT_LENGTH"]))
        words = [b"python", b"%d" % os.getpid(), variables["REQUEST_METHOD"],
                 variables.get("PATH_INFO", b""), b"%d" % len(body), body]
        connection.sendall(b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b" ".join(words) + b"\n")


def serve_one(listener):
    """Serves whoever waits; nobody may be there any more."""
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return
    try:
        answer(connection)
    except (OSError, EOFError, ValueError, KeyError) as error:
        print(error, file=sys.stderr)


def main():
    listeners = {listener.fileno(): listener for listener in inherited()}
    # A signal is a byte in this pipe, so none comes between looking for it and waiting.
    wakes, woken = os.pipe()
    os.set_blocking(wakes, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGTERM, lambda number, frame: None)

    ready = select.epoll()
    ready.register(wakes, select.EPOLLIN)
    for number in listeners:
        # One of the workers is woken for a connection, not all.
        ready.register(number, select.EPOLLIN | select.EPOLLEXCLUSIVE)

    notify("READY=1")
    leaving = False
    while not leaving:
        events = [number for number, _ in ready.poll()]
        leaving = wakes in events
        # On leaving all of them: this one may be the only one that was woken for a connection.
        for number in listeners if leaving else events:
            serve_one(listeners[number])
    notify("STOPPING=1")


main()
