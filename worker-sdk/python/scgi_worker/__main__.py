"""The command line: `python3 -m scgi_worker shop:app`."""

import argparse
import importlib
import os
import sys
import traceback

from ._load import LoadError, load
from ._serve import KINDS, kind_of, serve


def main() -> int:
    arguments = parse(sys.argv[1:])
    kinds = [kind for kind in KINDS if getattr(arguments, kind)]
    # As `python3 -m` and every other server has it: what lies here can be imported.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        app = load(arguments.app)
    except LoadError as error:
        print(f"scgi_worker: {error}", file=sys.stderr)
        return 1
    except BaseException:
        # Also SystemExit: a module that exits while it is imported, even with 0, serves nothing.
        # Said first: the last lines are what a manager shows of a worker that died.
        print(f"scgi_worker: cannot import the app {arguments.app!r}", file=sys.stderr)
        tell_import_error()
        return 1
    try:
        kind = kinds[0] if kinds else kind_of(app)
    except TypeError as error:
        print(f"scgi_worker: {error}", file=sys.stderr)
        return 1
    return serve(app, kind=kind, threads=arguments.threads)


def tell_import_error() -> None:
    """Print the exception at hand, from where the app's own files begin."""
    kind, error, place = sys.exc_info()
    own = {__file__, load.__code__.co_filename, importlib.__file__}
    frame = place
    while frame is not None:
        name = frame.tb_frame.f_code.co_filename
        if name not in own and not name.startswith("<frozen importlib"):
            place = frame
            break
        frame = frame.tb_next
    else:
        # The import itself failed: there is no such module, or it is no Python.
        place = None
    traceback.print_exception(kind, error, place)


def parse(words: "list[str]") -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m scgi_worker",
        description="Serve a Python app over SCGI: as a worker of scgid, on a socket handed over "
        "by systemd or spawn-fcgi, or on one of its own.",
        epilog="Nothing but the app need be said: what it is shows from what it is.",
    )
    parser.add_argument(
        "app",
        metavar="MODULE[:NAME]",
        help="where the app is: `shop:app`, `shop.web:make_app()`; the name is `application` or "
        "`app` if none is said",
    )
    # Read by the SDK itself, from the same command line.
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        help="where to listen if no socket was handed over: `unix:/path` or `127.0.0.1:4000`, "
        "which is the default",
    )
    parser.add_argument(
        "--threads",
        type=count,
        metavar="N",
        help="requests at once (what `concurrency` in scgid's configuration says, else 1)",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--wsgi", action="store_true", help="it is a WSGI callable")
    kind.add_argument("--asgi", action="store_true", help="it is an ASGI 3 callable")
    kind.add_argument("--handler", action="store_true", help="it is a class like SCGIHandler")
    return parser.parse_args(words)


def count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1024:
        raise argparse.ArgumentTypeError(f"{number} is not from 1 to 1024")
    return number


if __name__ == "__main__":
    sys.exit(main())
