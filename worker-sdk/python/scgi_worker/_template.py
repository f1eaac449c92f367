"""Being a template: the app is loaded once, and workers are forked from that.

    daemon -- FORK, variables, descriptors --> template -- forks --> worker
       ^-- READY, FAILED ------------------------'                     |
       '-- BORN -------------------------------------------------------'

What is said, and what a worker finds at which number, is told in protocol/README.md. A worker is a
child of the daemon, not of the template.
"""

import ctypes
import gc
import os
import select
import socket
import sys
import threading
import traceback
from typing import BinaryIO

from ._serve import get_ready, say

#: The longest order in bytes, and the most descriptors that come with one.
ORDER_BYTES, ORDER_DESCRIPTORS = 16 * 1024, 253

LISTEN_FDS_START = 3


def fork_workers() -> None:
    """Fork a worker whenever the daemon asks for one. Returns in the workers alone."""
    orders = socket.socket(fileno=int(os.environ["SCGI_TEMPLATE_FD"]))
    get_ready()
    others = threading.active_count() - 1
    if others:
        say(
            f"{others} threads were started while the app was loaded, and are in no worker; "
            "os.register_at_fork(after_in_child=...) can start them there"
        )
    # What there is by now is not looked at again: pages stay shared for as long as nobody writes.
    gc.collect()
    gc.freeze()
    orders.send(b"READY\0")
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, ORDER_BYTES, ORDER_DESCRIPTORS)
        if not order:
            # The daemon is gone, and the next one loads its own.
            os._exit(0)
        variables = parse(order)
        try:
            if fork(orders, variables, descriptors):
                return
        except OSError as error:
            fail(orders, variables, error)
        for number in descriptors:
            os.close(number)


def parse(order: bytes) -> "dict[str, str]":
    """The variables of an order."""
    _, *words = os.fsdecode(order).rstrip("\0").split("\0")
    return dict(word.split("=", 1) for word in words)


def fork(orders: socket.socket, variables: "dict[str, str]", descriptors: "list[int]") -> bool:
    """Fork one worker; whether this is it."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    ends = os.pipe()
    with open(ends[0], "rb", buffering=0) as wait, open(ends[1], "wb", buffering=0) as go:
        if fork_orphan():
            go.close()
            be_worker(orders, variables, descriptors, wait)
            return True
        go.write(b"!")
    return False


def be_worker(
    orders: socket.socket,
    variables: "dict[str, str]",
    descriptors: "list[int]",
    wait: BinaryIO,
) -> None:
    """Be a worker from here on. Never returns into what the template was doing."""
    try:
        # It is the daemon's child once the template says so.
        if wait.read(1):
            return be_born(orders, variables, descriptors)
    except BaseException as error:
        traceback.print_exc()
        fail(orders, variables, error)
    os._exit(1)


def fork_orphan() -> bool:
    """Fork a process whose parent is nobody here; whether this is it.

    It is forked by one that ends at once, so that the kernel gives it to the daemon, which has asked
    for orphans. clone(CLONE_PARENT) would do that in one step, but behind the back of the C library:
    what has threads of its own, as the linear algebra of NumPy, hangs after it. Python's hooks
    (`os.register_at_fork`) run once, in the template and in the worker.
    """
    libc = ctypes.PyDLL(None, use_errno=True)
    ctypes.pythonapi.PyOS_BeforeFork()
    between = libc.fork()
    if between == 0:
        worker = libc.fork()
        if worker == 0:
            ctypes.pythonapi.PyOS_AfterFork_Child()
            return True
        libc._exit(0 if worker > 0 else ctypes.get_errno() or 1)
    number = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if between > 0:
        _, status = os.waitpid(between, 0)
        number = os.waitstatus_to_exitcode(status)
    if between < 0 or number:
        raise OSError(number, os.strerror(number))
    return False


def be_born(orders: socket.socket, variables: "dict[str, str]", descriptors: "list[int]") -> None:
    """Take everything up that a worker is born with, and say that it is there."""
    os.setpgid(0, 0)
    stdout, stderr, *rest = descriptors
    for number, source in [(1, stdout), (2, stderr), *enumerate(rest, LISTEN_FDS_START)]:
        os.dup2(source, number)
    os.dup2(LISTEN_FDS_START, 0)
    for number in descriptors:
        os.close(number)
    os.environ.update(variables, LISTEN_PID=str(os.getpid()))
    del os.environ["SCGI_TEMPLATE_FD"]
    if is_gone(orders):
        # Nobody knows of this worker, and nobody would ever tell it to leave.
        os._exit(0)
    show(variables)
    try:
        orders.send(b"BORN\0%s\0" % variables["SCGI_WORKER"].encode())
    except ConnectionError:
        # The daemon was killed in between. The next one knows a worker by what it shows.
        pass
    orders.close()


def is_gone(orders: socket.socket) -> bool:
    """Whether the daemon that gave the orders is no more."""
    poll = select.poll()
    poll.register(orders, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def show(variables: "dict[str, str]") -> None:
    """Write the worker's numbers over those of the template where others look for them.

    /proc/PID/environ shows the environment that a program began with, of which this is a copy. The
    daemon knows workers by it if it was killed in between. The template's numbers have as many digits
    as any can have.
    """
    with open("/proc/self/stat", "rb") as stat:
        fields = stat.read().rpartition(b") ")[2].split()
    # proc_pid_stat(5): env_start is the 50th field, env_end the one after; the 3rd is the first here.
    start, end = int(fields[47]), int(fields[48])
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(start)
        place = start
        for entry in memory.read(end - start).split(b"\0"):
            name, _, value = entry.partition(b"=")
            own = variables.get(os.fsdecode(name), "")
            if own.isdigit() and value.isdigit() and len(own) < len(value):
                memory.seek(place + len(name) + 1)
                memory.write(own.zfill(len(value)).encode())
            place += len(entry) + 1


def fail(orders: socket.socket, variables: "dict[str, str]", error: BaseException) -> None:
    reason = f"{type(error).__name__}: {error}".encode(errors="replace")[:1000]
    try:
        orders.send(b"FAILED\0%s\0%s\0" % (variables["SCGI_WORKER"].encode(), reason))
    except ConnectionError:
        # Nobody is there to be told.
        pass
