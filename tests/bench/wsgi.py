"""The benchmark's jobs as a WSGI app, written as a user would write it."""

HELLO = b"hello\n"
BIG = (bytes(range(251)) * 408)[: 100 * 1024]
TEXT = [("Content-Type", "text/plain")]


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/hello":
        body = HELLO
    elif path == "/echo":
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    elif path == "/big":
        body = BIG
    else:
        start_response("404 Not Found", TEXT)
        return [b"not found\n"]
    start_response("200 OK", [*TEXT, ("Content-Length", str(len(body)))])
    return [body]
