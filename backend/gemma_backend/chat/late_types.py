"""Puts off what the OpenAI client's packages of types import until a name of theirs is wanted.

They are 9 of the client's 17 MB and two thirds of its import time, and a reply whose bytes are read here needs none of
them. The standard library's LazyLoader does not do: it loads a package as soon as a module inside it is imported.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

PACKAGES = ("openai.types", "openai.types.responses")
_lock = RLock()


class LatePackage(ModuleType):
    """A package whose own code runs when the first name is asked of it that is no module inside it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if PathFinder.find_spec(f"{self.__name__}.{name}", list(self.__path__)) is not None:
            return import_module(f"{self.__name__}.{name}")
        with _lock:
            # As any other module from here on, so that what its own code asks of it does not come here.
            self.__class__ = ModuleType  # type: ignore[assignment]  # mypy knows no change of class
            try:
                loader = self.__spec__.loader if self.__spec__ is not None else None
                assert loader is not None
                loader.exec_module(self)
            except BaseException:
                self.__class__ = LatePackage
                raise
        return getattr(self, name)


def put_off() -> None:
    """Put the packages in their places; to be called before `openai` is imported. Does nothing where it was already."""
    if "openai" in sys.modules or (client := find_spec("openai")) is None:
        return
    root = Path((client.submodule_search_locations or [""])[0])
    for name in PACKAGES:
        _, *inner = name.split(".")
        spec = PathFinder.find_spec(name, [str(root.joinpath(*inner[:-1]))])
        # A release that has no such package is imported as it is.
        if spec is None or spec.submodule_search_locations is None:
            continue
        package = module_from_spec(spec)
        package.__class__ = LatePackage
        sys.modules[name] = package
        outer, _, own = name.rpartition(".")
        if outer in sys.modules:
            setattr(sys.modules[outer], own, package)
