"""The plugins' lists of vLLM's names, held against what three versions of vLLM keep under them.

The fixtures were written by `packaging/engine_names.py` from the wheels.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gemma_backend.config.profiles import PER_LAYER_TABLE
from gemma_backend.runtime import locks
from gemma_backend.runtime.plugin import ENTRY_POINTS
from gemma_in_engine import vllm_names

ROOT = Path(__file__).parents[3]
KEPT = {
    path.stem: json.loads(path.read_text()) for path in (ROOT / "tests" / "fixtures" / "engine-names").glob("*.json")
}
# Names that a version lacks; the plugin goes on without what each of them gives.
KNOWN_TO_LACK = {("0.26.0", "gemma_nvfp4_cpu"): {"KNvfp4Static"}}


def lacking(kept: dict[str, list[str] | None], plugin: str) -> set[str]:
    """Attributes that are not there, or not called as the plugin calls them."""
    found = set()
    for name in vllm_names.PLUGINS[plugin]:
        key = f"{name.module}:{name.attribute}"
        if key not in kept or (name.parameters and not set(name.parameters) <= set(kept[key] or ())):
            found.add(name.attribute)
    return found


def test_the_versions_are_the_oldest_and_newest_that_are_supported() -> None:
    assert {"0.26.0", "0.32.0", "0.33.0"} <= set(KEPT)
    assert {locks.load(device, "3.12").main.version for device in ("cpu", "cuda")} <= set(KEPT)


@pytest.mark.parametrize("version", sorted(KEPT))
@pytest.mark.parametrize("plugin", sorted(ENTRY_POINTS))
def test_every_name_is_there_and_called_as_it_is_defined(version: str, plugin: str) -> None:
    assert lacking(KEPT[version]["names"], plugin) == KNOWN_TO_LACK.get((version, plugin), set())


@pytest.mark.parametrize("version", sorted(KEPT))
def test_the_model_builds_its_table_as_the_plugin_expects(version: str) -> None:
    assert KEPT[version]["builds_table"]


def test_a_name_that_moved_and_a_parameter_that_went_are_seen() -> None:
    names = dict(KEPT["0.33.0"]["names"])
    loader = f"{vllm_names.EMBEDDING_LOADER.module}:{vllm_names.EMBEDDING_LOADER.attribute}"
    del names[f"{vllm_names.DEVICE_VIEW.module}:{vllm_names.DEVICE_VIEW.attribute}"]
    names[loader] = ["self", "param", "weight"]
    assert lacking(names, "gemma_per_layer_table") == {
        "get_accelerator_view_from_cpu_tensor",
        "VocabParallelEmbedding.weight_loader",
    }


EMBEDDING = """
class UnquantizedEmbeddingMethod: pass
class VocabParallelEmbedding:
    def __init__(self, size, prefix=""): pass
    def weight_loader(self, param, {loaded}): pass
"""
MODEL = 'self.{name} = VocabParallelEmbedding(\n    8, prefix=f"{{prefix}}.{name}",\n)\n'


@pytest.mark.parametrize(
    ("loaded", "name", "switch", "said"),
    [
        ("loaded_weight", "embed_tokens_per_layer", "host", ""),
        ("weight", "embed_tokens_per_layer", "host", "VocabParallelEmbedding.weight_loader"),
        ("loaded_weight", "per_layer_table", "host", "vllm.model_executor.models.gemma4.embed_tokens_per_layer"),
        ("weight", "per_layer_table", "", ""),
    ],
)
def test_where_internals_moved_the_engine_says_so_and_goes_on(
    tmp_path: Path, loaded: str, name: str, switch: str, said: str
) -> None:
    files = {
        "torch.py": "",
        "vllm/platforms.py": "class current_platform:\n    is_cpu = staticmethod(lambda: True)\n",
        "vllm/utils/torch_utils.py": "def get_accelerator_view_from_cpu_tensor(cpu_tensor): pass\n",
        "vllm/model_executor/layers/vocab_parallel_embedding.py": EMBEDDING.format(loaded=loaded),
        "vllm/model_executor/models/gemma4.py": MODEL.format(name=name),
    }
    for path, text in files.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    ask = "import logging, sys; logging.basicConfig(stream=sys.stdout, format='%(message)s'); "
    ask += "from gemma_in_engine import per_layer_table as t; t.register(); t.register(); "
    ask += "from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding as e; "
    ask += "print('replaced', hasattr(e.__init__, 'keeps_table_on_host')); e(3, prefix='embed_tokens')"
    environment = {"PYTHONPATH": f"{ROOT / 'backend'}:{tmp_path}", PER_LAYER_TABLE: switch}
    done = subprocess.run(
        [sys.executable, "-S", "-c", ask], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *lines, replaced = done.stdout.splitlines()
    assert replaced == f"replaced {switch == 'host' and not said}"
    if said:
        assert len(set(lines)) == 1
        assert said in lines[0]
        assert lines[0].endswith("the per-layer embedding table stays on the GPU")
    else:
        assert not lines
