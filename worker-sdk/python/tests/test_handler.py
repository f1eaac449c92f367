"""Classic handlers, and the pool that serves them without scgid."""

import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
from pathlib import Path
from typing import Callable

from scgi_worker import scgi_server
from worker import PATIENCE, Answer, Worker, request, rest_of


class Functions(unittest.TestCase):
    def test_the_functions_read_what_a_front_end_sends(self) -> None:
        file = io.BytesIO(request("/a", b"rest", A="\xe9"))

        env = scgi_server.read_env(file)

        self.assertEqual((env["CONTENT_LENGTH"], env["A"], env["SCGI"]), ("4", "\xe9", "1"))
        self.assertEqual(file.read(), b"rest")

    def test_what_is_no_netstring_is_refused(self) -> None:
        for bad in (b"", b"5", b"-5:hello,", b"+5:hello,", b"5:hell", b"5:hello;", b"x:y,"):
            with self.assertRaises((OSError, ValueError), msg=bad):
                scgi_server.ns_reads(io.BytesIO(bad))
        with self.assertRaises(ValueError):
            scgi_server.parse_env(b"A\0b\0C\0")


class Handlers(unittest.TestCase):
    def serve(self, methods: str, *arguments: str) -> Worker:
        text = """
    import os, subprocess, sys
    from scgi_worker import SCGIHandler

    class Handler(SCGIHandler):
        """
        worker = Worker(text + methods, *(arguments or ("app:Handler",)))
        worker.__enter__()
        self.addCleanup(worker.__exit__)
        return worker

    def test_produce_reads_and_writes(self) -> None:
        worker = self.serve(
            """
        def produce(self, env, bodysize, input, output):
            body = input.read(bodysize) + input.read()
            output.write(b"Status: 201 Made\\nX-A: ")
            output.write(b"b\\n\\n" + env["REQUEST_URI"].encode() + b" %d" % len(body))
    """
        )

        small, large = worker.ask("/x", b"four"), worker.ask("/x", b"x" * 300_000)

        self.assertEqual((small.status, small.header("x-a")), ("201 Made", "b"))
        self.assertEqual((small.body, small.header("content-length")), (b"/x 4", "4"))
        self.assertEqual(large.body, b"/x 300000")

    def test_a_body_is_the_same_file_however_long_it_is(self) -> None:
        worker = self.serve(
            """
        def produce(self, env, bodysize, input, output):
            seen = [input.read(2), input.peek(1)[:1], input.readline(), len(input.read(bodysize))]
            output.write(b"Content-Type: text/plain\\n\\n" + str(seen).encode() + b"\\n")
            output.write(b"x" * 20_000)
            output.write(bytearray(b"y" * 20_000))
    """
        )
        for length in (0, 100, 100_000, 400_000, 2_000_000):
            answer = worker.ask("/", b"two\n" + b"x" * length)

            seen = str([b"tw", b"o", b"o\n", length]).encode() + b"\n"
            self.assertEqual(answer.body, seen + b"x" * 20_000 + b"y" * 20_000, length)

    def test_produce_streams_what_it_flushes(self) -> None:
        worker = self.serve(
            """
        def produce(self, env, bodysize, input, output):
            output.write(b"Content-Type: text/plain\\r\\n\\r\\nfirst ")
            output.flush()
            while not os.path.exists("go"): pass
            output.write(b"second")
    """
        )
        with worker.connect() as connection:
            connection.sendall(request("/"))
            first = b""
            while not first.endswith(b"first "):
                first += connection.recv(1000)
            (worker.folder / "go").touch()

            self.assertEqual(rest_of(connection), b"second")

    def test_produce_cgilike_has_the_surroundings_of_cgi_for_as_long_as_it_runs(self) -> None:
        worker = self.serve(
            """
        def produce_cgilike(self, env, bodysize):
            body = sys.stdin.buffer.read() if bodysize == 5 else sys.stdin.read(3)
            seen = subprocess.run(["sh", "-c", "echo $REQUEST_URI $HTTP_PROXY $OUTER"],
                                  stdout=subprocess.PIPE, text=True).stdout
            print("Content-Type: text/plain\\n")
            print(body, seen, os.environ["QUERY_STRING"], end="")

        def produce(self, env, bodysize, input, output):
            before = dict(os.environ), sys.stdin, sys.stdout
            super().produce(env, bodysize, input, output)
            assert before == (dict(os.environ), sys.stdin, sys.stdout)
    """
        )

        raw = worker.ask("/x?y", b"abc\xff\xfe", HTTP_PROXY="evil:1", OUTER="in")
        text = worker.ask("/x?y", b"caf\xc3\xa9")

        self.assertEqual(raw.body, b"b'abc\\xff\\xfe' /x?y in\n y", worker.said)
        self.assertEqual(text.body, b"b'caf\\xc3\\xa9' /x?y\n y", worker.said)
        self.assertEqual(worker.ask("/z", b"ab\xc3\xa9cd").body, b"ab\xc3\xa9 /z\n ")

    def test_handle_connection_gets_what_works_like_a_socket(self) -> None:
        worker = self.serve(
            """
        def handle_connection(self, conn):
            input, output = conn.makefile("rb"), conn.makefile("wb")
            env = self.read_env(input)
            output.write(b"Content-Type: text/plain\\r\\n\\r\\n")
            output.write(repr((env["A"], input.read())).encode("latin-1"))
            output.close(); input.close(); conn.close()
    """
        )

        answer = worker.ask("/", b"body", A="\xe9")

        self.assertEqual(answer.body, repr(("\xe9", b"body")).encode("latin-1"))

    def test_what_goes_wrong_is_a_500_and_the_worker_lives(self) -> None:
        worker = self.serve(
            """
        def produce(self, env, bodysize, input, output):
            if env["REQUEST_URI"] == "/raise": raise ValueError("asked for")
            if env["REQUEST_URI"] == "/exit": sys.exit(1)
            if env["REQUEST_URI"] == "/headless": output.write(b"just text")
            if env["REQUEST_URI"] == "/pid":
                output.write(b"Content-Type: text/plain\\r\\n\\r\\n%d" % os.getpid())
    """
        )
        pid = worker.ask("/pid").body

        for path in ("/raise", "/exit", "/headless", "/silent"):
            self.assertEqual(worker.ask(path).status, "500 Internal Server Error", path)
        self.assertEqual(worker.ask("/pid").body, pid)
        worker.until_said("ValueError: asked for")

    def test_a_server_of_nothing_said_is_that_of_the_classic_package(self) -> None:
        server = scgi_server.SCGIServer()

        seen = (server.handler_class, server.host, server.port, server.max_children)
        self.assertEqual(seen, (scgi_server.SCGIHandler, "", 4000, 5))

    def test_a_handler_of_no_own_shows_the_variables(self) -> None:
        worker = self.serve("pass")

        self.assertIn(b"REQUEST_URI: '/demo'", worker.ask("/demo").body)


class Pool:
    """A program of the classic kind, by itself."""

    def __init__(self, text: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        (self.folder / "program.py").write_text(textwrap.dedent(text))
        # Listens already, and is taken over: no port has to be guessed.
        self.socket = socket.create_server(("127.0.0.1", 0))
        number = self.socket.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "program.py", str(number)],
            cwd=self.folder,
            pass_fds=[number],
            stderr=open(self.folder / "log", "w"),
        )

    def ask(self, target: str) -> Answer:
        with socket.create_connection(self.socket.getsockname(), PATIENCE) as connection:
            connection.sendall(request(target))
            return Answer(rest_of(connection))

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.socket.close()
        self._folder.cleanup()


POOL = """
    import os, socket, sys
    from scgi_worker.scgi_server import SCGIHandler, SCGIServer

    class Handler(SCGIHandler):
        def produce(self, env, bodysize, input, output):
            output.write(b"Content-Type: text/plain\\r\\n\\r\\n%d" % os.getpid())

    if __name__ == "__main__":
        server = SCGIServer(handler_class=Handler, max_children="2")
        server.serve_on_socket(socket.socket(fileno=int(sys.argv[1])))
"""


def children(pid: int) -> "list[int]":
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Pools(unittest.TestCase):
    def setUp(self) -> None:
        self.pool = Pool(POOL)
        self.addCleanup(self.pool.close)

    def until_full(self) -> "list[int]":
        until(self, "two serve", lambda: len(children(self.pool.process.pid)) == 2)
        return children(self.pool.process.pid)

    def test_a_child_that_is_killed_is_replaced_and_buried(self) -> None:
        before = self.until_full()
        self.pool.ask("/")

        os.kill(before[0], signal.SIGKILL)

        until(self, "it is buried", lambda: not Path(f"/proc/{before[0]}").exists())
        self.until_full()
        self.assertEqual(self.pool.ask("/").status, "200 OK")

    def test_hup_replaces_all_and_loses_no_request(self) -> None:
        before = self.until_full()
        self.assertIn(int(self.pool.ask("/").body), before)

        self.pool.process.send_signal(signal.SIGHUP)
        while set(before) & set(children(self.pool.process.pid)):
            self.assertEqual(self.pool.ask("/").status, "200 OK")

        self.assertNotIn(int(self.pool.ask("/").body), before)

    def test_term_ends_all_of_it(self) -> None:
        before = self.until_full()
        self.pool.ask("/")

        self.pool.process.terminate()

        self.assertEqual(self.pool.process.wait(PATIENCE), 0)
        self.assertFalse([pid for pid in before if Path(f"/proc/{pid}").exists()])

    def test_children_leave_when_their_parent_was_killed(self) -> None:
        before = self.until_full()
        self.pool.ask("/")

        self.pool.process.kill()

        until(self, "all are gone", lambda: not any(is_alive(pid) for pid in before))


class BrokenPools(unittest.TestCase):
    def test_a_handler_that_cannot_be_made_is_tried_again_after_growing_pauses(self) -> None:
        raises = "def __init__(self, fd): raise OSError('no database')\n        def produce"
        pool = Pool(POOL.replace("def produce", raises))
        self.addCleanup(pool.close)

        until(self, "it was tried again", lambda: pool.log().count("trying again in") >= 3)

        self.assertIn("OSError: no database", pool.log())
        self.assertIn("trying again in 0.4s", pool.log())
        pool.process.terminate()
        self.assertEqual(pool.process.wait(PATIENCE), 0)


def until(test: unittest.TestCase, what: str, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        test.assertLess(time.monotonic(), end, f"waited in vain until {what}")
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


if __name__ == "__main__":
    unittest.main()
