"""What is served, by its name on the command line."""

import unittest

from worker import Worker

WSGI = """
    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"%s"]
"""


class Load(unittest.TestCase):
    def refused(self, text: str, *arguments: str) -> "list[str]":
        worker = Worker(text, *arguments)
        self.addCleanup(worker.__exit__)
        self.assertEqual(worker.end(), 1, worker.said)
        return worker.said

    def test_an_app_is_found_by_the_usual_names(self) -> None:
        with Worker(WSGI % "found") as worker:
            self.assertEqual(worker.ask().body, b"found")

    def test_a_factory_makes_the_app(self) -> None:
        text = "class site:\n    def make():\n        return application\n"
        with Worker(text + WSGI.replace("\n    ", "\n") % "made", "app:site.make()") as worker:
            self.assertEqual(worker.ask().body, b"made")

    def test_a_module_that_cannot_be_imported_is_told_with_its_traceback(self) -> None:
        said = self.refused("import nowhere_to_be_found")

        self.assertEqual(said[0], "scgi_worker: cannot import the app 'app'")
        self.assertEqual(said[1], "Traceback (most recent call last):")
        self.assertRegex(said[2], r'^  File ".*/app.py", line 1, in <module>$')
        self.assertEqual(said[-1], "ModuleNotFoundError: No module named 'nowhere_to_be_found'")

    def test_a_module_that_is_not_there_is_told_without_the_ways_it_was_looked_for(self) -> None:
        said = self.refused("", "nowhere_to_be_found")

        self.assertEqual(said[1:], ["ModuleNotFoundError: No module named 'nowhere_to_be_found'"])

    def test_a_module_that_exits_while_it_is_imported_has_failed(self) -> None:
        said = self.refused("raise SystemExit(0)")

        self.assertIn("SystemExit: 0", said)

    def test_a_name_that_is_not_there_is_told_in_one_line(self) -> None:
        self.assertEqual(
            self.refused("x = 1", "app"),
            ["scgi_worker: the module `app` has neither `application` nor `app`; write `app:name`"],
        )
        self.assertEqual(
            self.refused("x = 1", "app:x.y"), ["scgi_worker: the module `app` has no `x.y`"]
        )

    def test_what_is_no_app_is_refused(self) -> None:
        said = self.refused("x = 1", "app:x")

        self.assertEqual(
            said, ["scgi_worker: an app is a callable or a handler class, not this int"]
        )


if __name__ == "__main__":
    unittest.main()
