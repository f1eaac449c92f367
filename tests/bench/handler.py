"""The benchmark's jobs as a handler class of scgi_server's, written as a user would write it.

    python3 handler.py scgi 4             the package `scgi`, with four children
    python3 handler.py scgi_worker 4      the Python face in its place

Serves on the listening socket that is its standard input.
"""

import importlib
import socket
import sys

package, children = sys.argv[1:]
scgi_server = importlib.import_module(f"{package}.scgi_server")

HELLO = b"hello\n"
BIG = (bytes(range(251)) * 408)[: 100 * 1024]


class Jobs(scgi_server.SCGIHandler):
    def produce(self, env, bodysize, input, output):
        path = env["PATH_INFO"]
        if path == "/hello":
            body = HELLO
        elif path == "/echo":
            body = input.read(bodysize)
        elif path == "/big":
            body = BIG
        else:
            output.write(b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nnot found\n")
            return
        head = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
        output.write(head % len(body))
        output.write(body)


listener = socket.socket(fileno=sys.stdin.fileno())
scgi_server.SCGIServer(Jobs, max_children=int(children)).serve_on_socket(listener)
