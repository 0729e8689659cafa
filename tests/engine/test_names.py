"""The plugins' lists of names against the vLLM that is installed in the CPU runtime."""

from __future__ import annotations

from pathlib import Path

import engine_names
from gemma_in_engine import vllm_names
from stubs.real_engine import cpu_runtime


def test_every_name_is_in_the_installed_engine() -> None:
    site = next((cpu_runtime().path / "lib").glob("python3*/site-packages"))
    found = engine_names.collect(Path(site))
    kept = found["names"]
    assert isinstance(kept, dict)
    assert found["builds_table"]
    for name in {name for names in vllm_names.PLUGINS.values() for name in names}:
        assert f"{name.module}:{name.attribute}" in kept
        assert set(name.parameters) <= set(kept[f"{name.module}:{name.attribute}"] or ())
