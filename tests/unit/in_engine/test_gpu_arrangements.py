"""What the tests on a GPU would start is put together here, so that they are ready when there is one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gemma_backend.config.profiles import PER_LAYER_TABLE
from gemma_backend.engine.command import build
from gemma_backend.runtime.found import Runtime
from gemma_backend.runtime.plugin import plugin_names
from gpu import arrangement
from stubs.full_size import expanded


@pytest.mark.parametrize("name", arrangement.ARRANGEMENTS)
@pytest.mark.parametrize("version", ["0.26.0", "0.33.0"])
def test_every_arrangement_has_a_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, version: str
) -> None:
    monkeypatch.setattr(arrangement, "gpu_memory", lambda what: 81_559)
    folder = expanded("e2b-nvfp4a16", tmp_path).folder
    profile, plan = arrangement.arranged(name, folder)
    assert plan.fits
    runtime = Runtime("test", "path", "cuda", Path(sys.executable), version, Path(sys.prefix))
    command = build(profile, runtime, folder, port=8123, plugin=tmp_path, plugin_names=plugin_names(), inherited={})
    assert "auto" not in {word for word, flag in zip(command.argv[1:], command.argv, strict=False) if "mem" in flag}
    assert (command.env.get(PER_LAYER_TABLE) == "host") is (profile.per_layer_table == "host")
    assert ("--language-model-only" in command.argv) is (name == "small-gpu-text")
    assert command.argv[command.argv.index("--max-model-len") + 1] == "131072"
