"""ASGI apps: HTTP and lifespan."""

import unittest

from worker import Worker, request, rest_of

APP = """
    import asyncio, os

    state = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                if message["type"] == "lifespan.startup":
                    scope["state"]["began"] = True
                    state.append(asyncio.get_running_loop())
                    await send({"type": "lifespan.startup.complete"})
                else:
                    print("shut down", flush=True)
                    await send({"type": "lifespan.shutdown.complete"})
                    return
        await globals()[scope["path"].rsplit("/", 1)[1]](scope, receive, send)

    async def answer(send, body, **rest):
        headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, **rest})
"""


class Asgi(unittest.TestCase):
    def serve(self, functions: str, *arguments: str) -> Worker:
        worker = Worker(APP + functions, *arguments)
        worker.__enter__()
        self.addCleanup(worker.__exit__)
        return worker

    def test_a_request_is_answered_in_the_loop_that_the_app_began_in(self) -> None:
        worker = self.serve(
            """
    async def seen(scope, receive, send):
        assert asyncio.get_running_loop() is state[0]
        body = b""
        more = True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        names = ("method", "path", "root_path", "raw_path", "query_string", "scheme", "state")
        shown = [scope[name] for name in names] + [dict(scope["headers"])[b"x-name"], len(body)]
        await answer(send, ascii(shown).encode())
    """
        )

        answer = worker.ask(
            "/m/caf%C3%A9/seen?q", b"x" * 200_000, SCRIPT_NAME="/m",
            PATH_INFO="/caf\xc3\xa9/seen", HTTP_X_NAME="\xe9",
        )

        shown = ["POST", "/m/caf\xe9/seen", "/m", b"/m/caf%C3%A9/seen", b"q", "http"]
        shown += [{"began": True}, b"\xe9", 200_000]
        self.assertEqual(answer.body.decode(), ascii(shown), worker.said)
        self.assertIsNone(answer.header("connection"))

    def test_a_stream_is_sent_as_it_comes(self) -> None:
        worker = self.serve(
            """
    async def stream(scope, receive, send):
        await answer(send, b"first ", more_body=True)
        while not os.path.exists("go"): await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b"second"})
    """
        )
        with worker.connect() as connection:
            connection.sendall(request("/stream"))
            first = b""
            while not first.endswith(b"first "):
                first += connection.recv(1000)
            (worker.folder / "go").touch()

            self.assertEqual(rest_of(connection), b"second")

    def test_work_after_the_answer_holds_nobody_up_and_is_finished(self) -> None:
        worker = self.serve(
            """
    async def later(scope, receive, send):
        await answer(send, b"answered")
        assert (await receive())["type"] in ("http.request", "http.disconnect")
        while not os.path.exists("go"): await asyncio.sleep(0.01)
        print("done later", flush=True)
    """
        )

        self.assertEqual(worker.ask("/later").body, b"answered")
        self.assertEqual(worker.ask("/later").body, b"answered")
        (worker.folder / "go").touch()

        self.assertEqual(worker.leave(), 0)
        self.assertEqual(worker.said.count("done later"), 2)
        self.assertEqual(worker.said.count("shut down"), 1)

    def test_what_goes_wrong_is_a_500_and_the_worker_lives(self) -> None:
        worker = self.serve(
            """
    async def boom(scope, receive, send):
        raise KeyError("what was missing")

    async def silent(scope, receive, send):
        pass

    async def fine(scope, receive, send):
        await answer(send, b"fine")
    """
        )

        for path in ("/boom", "/silent"):
            self.assertEqual(worker.ask(path).status, "500 Internal Server Error")

        self.assertEqual(worker.ask("/fine").body, b"fine")
        worker.until_said("KeyError: 'what was missing'")

    def test_an_app_that_waits_for_the_end_is_told_that_its_client_has_left(self) -> None:
        worker = self.serve(
            """
    async def waits(scope, receive, send):
        assert (await receive())["type"] == "http.request"
        print("waits", flush=True)
        print((await receive())["type"], flush=True)
        raise RuntimeError("nobody cares")

    async def fine(scope, receive, send):
        await answer(send, b"fine")
    """
        )
        with worker.connect() as connection:
            connection.sendall(request("/waits"))
            worker.until_said("waits")

        worker.until_said("http.disconnect")
        self.assertEqual(worker.ask("/fine").body, b"fine")
        self.assertFalse([line for line in worker.said if "nobody cares" in line], worker.said)

    def test_threads_are_requests_at_once(self) -> None:
        worker = self.serve(
            """
    arrived = []

    async def meet(scope, receive, send):
        arrived.append(1)
        while len(arrived) < 3: await asyncio.sleep(0.01)
        await answer(send, b"met")
    """,
            "app",
            "--threads",
            "3",
        )
        connections = [worker.connect() for _ in range(3)]
        for connection in connections:
            connection.sendall(request("/meet"))

        for connection in connections:
            with connection:
                self.assertTrue(rest_of(connection).endswith(b"met"))

    def test_an_app_that_does_not_start_is_told_and_not_served(self) -> None:
        worker = Worker(
            """
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
    """
        )
        self.addCleanup(worker.__exit__)

        self.assertEqual(worker.end(), 1)
        self.assertEqual(worker.said, ["scgi_worker: the app did not start: no database"])


if __name__ == "__main__":
    unittest.main()
