"""Run Python web apps as workers of scgid, or alone.

    python3 -m scgi_worker shop:app

A WSGI callable, an ASGI one, or a handler class of the classic scgi_server is served as it is. In
code it is `serve(app)`, and `SCGIServer(handler_class=...).serve()` as it always was.
`client_gone()` tells whoever answers a request, in the call that was made for it, whether its client
has gone away.
"""

from ._native import client_gone
from ._serve import serve
from .scgi_server import SCGIHandler, SCGIServer

__all__ = ["SCGIHandler", "SCGIServer", "client_gone", "serve"]
