"""A pool of workers without scgid: as many as are wanted, watched by the process they came from.

    start all ─▶ wait for a signal ─┬─ CHLD: another one in its place, at once or after a pause
                                    ├─ HUP: new ones, and when they are there the old ones leave
                                    └─ TERM, INT: all leave; after a while, or told again, are killed

The parent never touches a connection: workers accept by themselves on its socket. It waits for
signals by sigtimedwait(2), so that none is lost and none interrupts anything.
"""

import os
import select
import signal
import socket
import sys
import time
import traceback
from typing import Any, Optional

from . import _native
from ._serve import Place

#: What the parent waits for.
SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}

#: How long workers get to finish what they do, in seconds.
PATIENCE = 30.0

#: One that lived so long, in seconds, was well, and is replaced at once.
WELL = 1.0

#: The pauses before a worker is tried again, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0

LISTEN_FDS_START = 3


class Child:
    """One worker of this process."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.began = time.monotonic()
        self.is_leaving = False
        self._pidfd: Optional[int] = pidfd

    def has_ended(self) -> bool:
        """Whether it has; buries it then."""
        if self._pidfd is None:
            return True
        if not select.select([self._pidfd], [], [], 0)[0]:
            return False
        os.waitpid(self.pid, 0)
        os.close(self._pidfd)
        self._pidfd = None
        return True

    def forget(self) -> None:
        """In a worker: it is no child of ours."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def close(self) -> None:
        """Ask it to leave when it is done."""
        self.is_leaving = True
        self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        if self._pidfd is not None:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                pass


class Pool:
    """Keeps the workers of `server` at `max_children`."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.pause = 0.0
        self.next_try = 0.0

    def run(self) -> int:
        """Serve until told to leave; the exit status."""
        signal.signal(signal.SIGHUP, self.server.hup_signal)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        while True:
            self.fill()
            came = wait_for_signal(self.until_next_try())
            if came in (signal.SIGTERM, signal.SIGINT):
                return self.stop()
            if came == signal.SIGHUP:
                self.server.hup_signal(came, None)
            self.bury()
            if self.server.restart:
                self.replace_all()

    def wanted(self) -> int:
        staying = [child for child in self.server.children if not child.is_leaving]
        return max(self.server.max_children, 1) - len(staying)

    def fill(self) -> None:
        """Start what is missing, unless it is too early to try again."""
        while self.wanted() > 0 and time.monotonic() >= self.next_try:
            try:
                self.server.spawn_child()
            except OSError as error:
                self.put_off(f"cannot start a child: {error}")

    def until_next_try(self) -> Optional[float]:
        if self.wanted() <= 0:
            return None
        return max(self.next_try - time.monotonic(), 0.0)

    def bury(self) -> None:
        before = list(self.server.children)
        self.server.reap_children()
        now = time.monotonic()
        for child in before:
            if child in self.server.children or child.is_leaving:
                continue
            if now - child.began >= WELL:
                self.pause = self.next_try = 0.0
            else:
                self.put_off(f"child ended at once (pid={child.pid})")

    def put_off(self, why: str) -> None:
        self.pause = min(self.pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
        self.next_try = time.monotonic() + self.pause
        self.server_log(f"{why}; trying again in {self.pause:g}s")

    def replace_all(self) -> None:
        """New workers in front of the socket before the old ones are told to leave it."""
        old = list(self.server.children)
        self.server.children = []
        self.pause = self.next_try = 0.0
        self.fill()
        new = self.server.children
        self.server.children = old
        self.server.do_restart()
        self.server.children = old + new

    def stop(self) -> int:
        """All leave; whoever does not, is killed."""
        self.server.do_stop()
        end = time.monotonic() + PATIENCE
        while self.server.children:
            left = end - time.monotonic()
            came = wait_for_signal(max(left, 0.0))
            if left <= 0 or came in (signal.SIGTERM, signal.SIGINT):
                for child in self.server.children:
                    child.signal(signal.SIGKILL)
                end = time.monotonic() + PATIENCE
            self.server.reap_children()
        return 0

    @staticmethod
    def server_log(text: str) -> None:
        from .scgi_server import log

        log(text)


def wait_for_signal(longest: Optional[float]) -> Optional[int]:
    """The next signal; `None` if it does not come in time, in seconds."""
    if longest is None:
        return signal.sigwaitinfo(SIGNALS).si_signo
    came = signal.sigtimedwait(SIGNALS, longest)
    return came.si_signo if came else None


def spawn(server: Any) -> Child:
    """Fork a worker of `server`."""
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        be_worker(server, parent)
    return Child(pid, os.pidfd_open(pid))


def be_worker(server: Any, parent: int) -> None:
    """Serve in a process of its own. Never returns into what the parent was doing."""
    status = 1
    try:
        _native.leave_with_parent(parent)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Ctrl-C reaches all processes of a terminal; the parent says what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for child in server.children:
            child.forget()
        from ._handler import serve_class

        status = serve_class(server.handler_class, Place(socket=os.dup(server.socket.fileno())))
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            # What the parent's program has to clean up is not this process's to do.
            os._exit(status)


def inherited_socket() -> Optional[socket.socket]:
    """The listening socket that systemd, or who speaks like it, handed over."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = os.environ.get("LISTEN_FDS", "")
    if not count.isdigit() or int(count) == 0:
        return None
    if int(count) > 1:
        raise OSError("only one inherited socket supported")
    os.set_inheritable(LISTEN_FDS_START, False)
    return socket.socket(fileno=LISTEN_FDS_START)
