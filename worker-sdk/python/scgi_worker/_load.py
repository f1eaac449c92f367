"""Finds an app by what a person wrote on the command line."""

import importlib

#: What an app is called if nobody says.
NAMES = ("application", "app")


class LoadError(Exception):
    """There is no app where one was said to be. Says it in one line."""


def load(text: str) -> object:
    """The app at `module`, `module:name` or `module:factory()`.

    Whatever the module raises while it is imported is passed on.
    """
    module_name, _, name = text.partition(":")
    if not module_name:
        raise LoadError(f"{text!r} names no module; write `module:app`")
    module = importlib.import_module(module_name)
    is_factory = name.endswith("()")
    name = name.removesuffix("()")
    app = find(module, module_name, name)
    return app() if is_factory else app


def find(module: object, module_name: str, name: str) -> object:
    if not name:
        found = [other for other in NAMES if hasattr(module, other)]
        if not found:
            said = " nor ".join(f"`{other}`" for other in NAMES)
            raise LoadError(
                f"the module `{module_name}` has neither {said}; write `{module_name}:name`"
            )
        name = found[0]
    value = module
    for part in name.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise LoadError(f"the module `{module_name}` has no `{name}`") from None
    return value
