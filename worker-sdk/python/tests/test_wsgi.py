"""WSGI apps, as PEP 3333 has them."""

import unittest

from worker import Worker, request, rest_of

#: Answers with what the function named by the path returns.
APP = """
    import sys, os, time, threading
    from wsgiref.validate import validator

    def app(environ, start_response):
        return globals()[environ["PATH_INFO"].strip("/")](environ, start_response)

    def text(start_response, value):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(value).encode("utf-8")]
"""


class Wsgi(unittest.TestCase):
    def serve(self, functions: str, *arguments: str) -> Worker:
        worker = Worker(APP + functions, *arguments)
        self._enter(worker)
        return worker

    def _enter(self, worker: Worker) -> None:
        worker.__enter__()
        self.addCleanup(worker.__exit__)

    def test_the_reference_validator_finds_nothing_wrong(self) -> None:
        worker = self.serve(
            """
    def hello(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        body = environ["wsgi.input"].read(100)
        environ["wsgi.errors"].write("said by the app\\n")
        return [b"hello ", body]

    hello = validator(hello)
    """
        )

        get = worker.ask("/hello", HTTP_CONTENT_LENGTH="0", HTTP_CONTENT_TYPE="")
        post = worker.ask("/hello?a=b", b"ada", CONTENT_TYPE="text/plain")
        head = worker.ask("/hello", method="HEAD")

        self.assertEqual((get.status, get.body), ("200 OK", b"hello "), worker.said)
        self.assertEqual((post.status, post.body), ("200 OK", b"hello ada"), worker.said)
        self.assertEqual((head.status, head.body), ("200 OK", b""), worker.said)
        worker.until_said("said by the app")

    def test_an_app_sees_the_variables_as_latin_1(self) -> None:
        worker = self.serve(
            """
    def seen(environ, start_response):
        names = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_X_NAME", "wsgi.url_scheme")
        return text(start_response, ascii([environ[name] for name in names]))
    """
        )

        answer = worker.ask(
            "/app/seen?q=%20", SCRIPT_NAME="/caf\xc3\xa9", PATH_INFO="/seen", HTTP_X_NAME="\xe9",
            HTTPS="on",
        )

        expected = ["/caf\xc3\xa9", "/seen", "q=%20", "\xe9", "https"]
        self.assertEqual(answer.body.decode(), ascii(expected))

    def test_variables_of_one_request_are_not_those_of_the_next(self) -> None:
        worker = self.serve(
            """
    def seen(environ, start_response):
        return text(start_response, sorted(k + v for k, v in environ.items() if k[:6] == "HTTP_X"))
    """
        )

        first = worker.ask("/seen", HTTP_X_A="1", HTTP_X_B="2")
        second = worker.ask("/seen", HTTP_X_A="3")
        third = worker.ask("/seen", HTTP_X_C="2", HTTP_X_A="1")

        self.assertEqual(first.body, b"['HTTP_X_A1', 'HTTP_X_B2']")
        self.assertEqual(second.body, b"['HTTP_X_A3']")
        self.assertEqual(third.body, b"['HTTP_X_A1', 'HTTP_X_C2']")

    def test_requests_that_look_alike_have_variables_of_their_own(self) -> None:
        worker = self.serve(
            """
    def seen(environ, start_response):
        own = sorted((k, v) for k, v in environ.items() if k.startswith("HTTP_"))
        environ.update(HTTP_A="another", HTTP_Z="left behind")
        return text(start_response, own)
    """
        )
        long = "x" * 100
        for a, b in [("1", "2"), ("1", "2"), ("1", "3"), (long, "3"), (long, ""), ("2", long)]:
            answer = worker.ask("/seen", HTTP_A=a, HTTP_B=b, HTTP_CONTENT_LENGTH="0")

            self.assertEqual(answer.body.decode(), str([("HTTP_A", a), ("HTTP_B", b)]))

        many = {f"HTTP_{number:02}": str(number) for number in range(80)}
        for values in (many, many, {**many, "HTTP_70": "other"}):
            answer = worker.ask("/seen", **values)

            self.assertEqual(answer.body.decode(), str(sorted(values.items())))

    def test_the_body_can_be_read_in_every_way_and_ends_where_it_does(self) -> None:
        worker = self.serve(
            """
    def ways(environ, start_response):
        body = environ["wsgi.input"]
        seen = [body.read(3), body.readline(), body.readline(2), body.readlines(1), next(iter(body)),
                len(body.read()), body.read(), body.read(5)]
        return text(start_response, seen)
    """
        )
        lines = b"one two\nthree\nfour\nfive\n"
        for surplus in (b"x" * 10, b"x" * (2 << 20)):
            answer = worker.ask("/ways", lines + surplus)

            seen = [b"one", b" two\n", b"th", [b"ree\n"], b"four\n", 5 + len(surplus), b"", b""]
            self.assertEqual(answer.body.decode(), str(seen), len(surplus))

    def test_an_iterable_is_sent_piece_by_piece_and_closed(self) -> None:
        worker = self.serve(
            """
    class Pieces:
        def __init__(self, environ): self.left = 2
        def __iter__(self): return self
        def __next__(self):
            if not self.left: raise StopIteration
            if self.left == 1:
                while not os.path.exists("go"): time.sleep(0.01)
            self.left -= 1
            return b"piece "
        def close(self): print("closed", flush=True)

    def pieces(environ, start_response):
        start_response("200 OK", [])
        return Pieces(environ)
    """
        )
        with worker.connect() as connection:
            connection.sendall(request("/pieces"))
            first = b""
            while not first.endswith(b"piece "):
                first += connection.recv(1000)
            (worker.folder / "go").touch()

            self.assertEqual(rest_of(connection), b"piece ")
        worker.until_said("closed")

    def test_a_generator_begins_its_response_when_it_is_asked_for_a_piece(self) -> None:
        worker = self.serve(
            """
    def late(environ, start_response):
        start_response("404 Nobody Home", [("X-Name", "caf\\xe9")])
        yield b""
        yield b"late"
    """
        )

        answer = worker.ask("/late")

        self.assertEqual((answer.status, answer.body), ("404 Nobody Home", b"late"))
        self.assertEqual(answer.header("x-name"), "caf\xe9")

    def test_write_sends_at_once(self) -> None:
        worker = self.serve(
            """
    def old(environ, start_response):
        write = start_response("200 OK", [])
        write(b"written ")
        while not os.path.exists("go"): time.sleep(0.01)
        return [b"returned"]
    """
        )
        with worker.connect() as connection:
            connection.sendall(request("/old"))
            first = b""
            while not first.endswith(b"written "):
                first += connection.recv(1000)
            (worker.folder / "go").touch()

            self.assertEqual(rest_of(connection), b"returned")

    def test_lengths_are_told_where_they_are_known(self) -> None:
        worker = self.serve(
            """
    def small(environ, start_response):
        start_response("200 OK", [])
        return [b"a", b"bc"]

    def large(environ, start_response):
        start_response("200 OK", [])
        return (b"x" * 50000, b"y" * 50000)

    def none(environ, start_response):
        start_response("204 No Content", [])
        return []

    def own(environ, start_response):
        start_response("200 OK", [("content-length", "4"), ("Connection", "close")])
        return iter([b"fo", b"ur"])
    """
        )

        lengths = [worker.ask(p).header("content-length") for p in ("/small", "/large", "/none", "/own")]

        self.assertEqual(lengths, ["3", "100000", None, "4"])
        self.assertEqual(len(worker.ask("/large").body), 100000)
        self.assertIsNone(worker.ask("/own").header("connection"))
        head = worker.ask("/own", method="HEAD")
        self.assertEqual((head.header("content-length"), head.body), ("4", b""))

    def test_an_exception_is_a_500_with_its_traceback_told_and_no_more(self) -> None:
        worker = self.serve(
            """
    def boom(environ, start_response):
        start_response("200 OK", [])
        raise KeyError("what was missing")

    def leave(environ, start_response):
        sys.exit(0)

    def interrupted(environ, start_response):
        raise KeyboardInterrupt

    def late(environ, start_response):
        start_response("200 OK", [])
        yield b"begun"
        raise OSError("half way")

    def nothing(environ, start_response):
        return []

    def words(environ, start_response):
        start_response("200 OK", [])
        return ["text"]

    def fine(environ, start_response):
        return text(start_response, os.getpid())
    """
        )
        pid = worker.ask("/fine").body

        for path in ("/boom", "/leave", "/interrupted", "/nothing", "/words", "/nowhere"):
            self.assertEqual(worker.ask(path).status, "500 Internal Server Error", path)
        self.assertEqual(worker.ask("/late").body, b"begun")

        self.assertEqual(worker.ask("/fine").body, pid, "the worker has lived")
        for line in (
            "KeyError: 'what was missing'",
            'raise KeyError("what was missing")',
            "the app raised KeyError, see above (GET /boom)",
            "SystemExit: 0",
            "OSError: half way",
            "AssertionError: the app answered before it called start_response",
            "TypeError: a WSGI app answers with bytes, not with str",
        ):
            worker.until_said(line)

    def test_a_response_can_be_taken_back_until_it_is_sent(self) -> None:
        worker = self.serve(
            """
    def taken(environ, start_response):
        start_response("200 OK", [("X-First", "yes")])
        try:
            raise ValueError("no")
        except ValueError:
            start_response("503 Later", [("X-Second", "yes")], sys.exc_info())
        return [b"sorry"]

    def sent(environ, start_response):
        start_response("200 OK", [])(b"sent")
        try:
            raise ValueError("too late")
        except ValueError:
            start_response("500 Oops", [], sys.exc_info())
        return []

    def twice(environ, start_response):
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []
    """
        )

        taken = worker.ask("/taken")

        self.assertEqual((taken.status, taken.body), ("503 Later", b"sorry"))
        self.assertEqual((taken.header("x-first"), taken.header("x-second")), (None, "yes"))
        self.assertEqual(worker.ask("/sent").body, b"sent")
        worker.until_said("ValueError: too late")
        self.assertEqual(worker.ask("/twice").status, "500 Internal Server Error")

    def test_what_cannot_be_sent_is_a_500(self) -> None:
        worker = self.serve(
            """
    def smuggled(environ, start_response):
        start_response("200 OK", [("X-A", "a\\r\\nSet-Cookie: b")])
        return [b""]

    def beyond(environ, start_response):
        start_response("200 OK", [("X-A", "\\u20ac")])
        return [b""]

    def status(environ, start_response):
        start_response("OK", [])
        return [b""]
    """
        )

        for path in ("/smuggled", "/beyond", "/status"):
            answer = worker.ask(path)
            self.assertEqual(answer.status, "500 Internal Server Error", path)
            self.assertIsNone(answer.header("set-cookie"))

    def test_a_file_is_sent_by_the_wrapper_and_closed(self) -> None:
        worker = self.serve(
            """
    def file(environ, start_response):
        start_response("200 OK", [("Content-Length", "200000")])
        with open("data", "wb") as out: out.write(b"d" * 200000)
        return environ["wsgi.file_wrapper"](open("data", "rb"), 70000)
    """
        )

        self.assertEqual(worker.ask("/file").body, b"d" * 200000)

    def test_a_client_that_leaves_is_no_news_and_hurts_nobody(self) -> None:
        worker = self.serve(
            """
    def endless(environ, start_response):
        start_response("200 OK", [])
        try:
            while True: yield b"x" * 100000
        finally:
            print("generator closed", flush=True)

    def body(environ, start_response):
        return text(start_response, len(environ["wsgi.input"].read()))
    """
        )
        with worker.connect() as connection:
            connection.sendall(request("/endless"))
            connection.recv(1000)
        with worker.connect() as connection:
            connection.sendall(request("/body", b"x" * (2 << 20))[:-5])

        worker.until_said("generator closed")

        self.assertEqual(worker.ask("/body", b"12345").body, b"5")
        self.assertFalse([line for line in worker.said if "Traceback" in line], worker.said)

    def test_an_app_can_ask_whether_its_client_has_left(self) -> None:
        worker = self.serve(
            """
    import time, scgi_worker

    def waits(environ, start_response):
        print("gone at first:", scgi_worker.client_gone(), flush=True)
        while not scgi_worker.client_gone(): time.sleep(0.01)
        print("gone at last", flush=True)
        raise RuntimeError("nobody cares")

    def outside(environ, start_response):
        seen = []
        def ask():
            try: scgi_worker.client_gone()
            except RuntimeError as error: seen.append(str(error))
        import threading
        thread = threading.Thread(target=ask); thread.start(); thread.join()
        return text(start_response, seen[0])
    """
        )
        with worker.connect() as connection:
            connection.sendall(request("/waits"))
            worker.until_said("gone at first: False")

        worker.until_said("gone at last")
        self.assertIn(b"serves no request", worker.ask("/outside").body)
        self.assertFalse([line for line in worker.said if "nobody cares" in line], worker.said)

    def test_what_is_kept_of_a_request_is_of_no_use_in_the_next(self) -> None:
        worker = self.serve(
            """
    kept = []

    def keep(environ, start_response):
        kept.append((environ["wsgi.input"], start_response))
        return text(start_response, "kept")

    def use(environ, start_response):
        body, start = kept.pop()
        told = []
        for deed in (lambda: body.read(1), lambda: start("200 OK", [])(b"smuggled")):
            try:
                deed()
            except (RuntimeError, AssertionError) as error:
                told.append(str(error)[:20])
        return text(start_response, told)
    """
        )
        large = b"x" * (2 << 20)
        worker.ask("/keep", large)

        told = worker.ask("/use", large).body.decode()

        self.assertIn("this request is over", told)
        self.assertNotIn("smuggled", told)

    def test_threads_serve_at_once_and_keep_what_is_theirs(self) -> None:
        worker = self.serve(
            """
    meeting = threading.Barrier(3, timeout=20)
    own = threading.local()

    def meet(environ, start_response):
        meeting.wait()
        own.count = getattr(own, "count", 0) + 1
        return text(start_response, (environ["wsgi.multithread"], own.count))
    """,
            "app",
            "--threads",
            "3",
        )
        for count in (1, 2):
            connections = [worker.connect() for _ in range(3)]
            for connection in connections:
                connection.sendall(request("/meet"))
            for connection in connections:
                with connection:
                    self.assertTrue(rest_of(connection).endswith(b"(True, %d)" % count))

    def test_a_worker_that_is_told_to_leave_finishes_and_runs_what_atexit_has(self) -> None:
        worker = self.serve(
            """
    import atexit, signal
    atexit.register(print, "cleaned up")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))

    def slow(environ, start_response):
        open("begun", "w").close()
        while not os.path.exists("go"): time.sleep(0.01)
        return text(start_response, "done")
    """
        )
        with worker.connect() as connection:
            connection.sendall(request("/slow"))
            while not (worker.folder / "begun").exists():
                pass
            worker.process.terminate()
            (worker.folder / "go").touch()

            self.assertTrue(rest_of(connection).endswith(b"done"))
        self.assertEqual(worker.end(), 0)
        worker.until_said("cleaned up")
        worker.until_said("the app's own handler of SIGTERM is not used")


if __name__ == "__main__":
    unittest.main()
