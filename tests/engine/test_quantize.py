"""The command on a real checkpoint with the real ModelOpt, and what it makes served by a real vLLM."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gemma_assets import path as asset
from gemma_backend.checkpoint.header import Checkpoint, read_checkpoint
from gemma_backend.checkpoint.verify import verify
from gemma_backend.config.profiles import load_profile
from gemma_backend.engine.engine import Engine
from gemma_backend.quantize.tools import find_tools
from gemma_backend.runtime.found import Runtime
from gemma_backend.types import Endpoint
from gemma_tui.cli.main import main
from pocket.build import NAME, random_weights
from stubs.pocket_bf16 import unpacked
from stubs.real_engine import cpu_runtime

pytestmark = pytest.mark.engine


@dataclass(frozen=True)
class Made:
    """A BF16 checkpoint and what the command made of it in both formats."""

    source: Path
    weights_only: Path
    activations_too: Path
    tools: Runtime


PROBE = Path(__file__).with_name("quantize_probe.py")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Two OpenMP threads on a busy machine of two processors wait for each other most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def made(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Made:
    given = os.environ.get("GEMMA_TUI_TEST_QUANTIZE")
    tools = find_tools(Path(given) if given else None)
    folder = tmp_path_factory.mktemp("quantised")
    random_weights(tools.python, folder / NAME)
    for form, more in (("nvfp4a16", []), ("nvfp4", ["--samples", "8"])):
        words = ["quantize", str(folder / NAME), str(folder / form), "--format", form, *more]
        assert main([*words, "--python", str(tools.python)]) == 0
    return Made(folder / NAME, folder / "nvfp4a16", folder / "nvfp4", tools)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("form", ["weights_only", "activations_too"])
def test_the_result_is_its_source_rounded(made: Made, form: str) -> None:
    report = verify(read_checkpoint(getattr(made, form)), read_checkpoint(made.source))
    assert report.ok, report.problems
    assert (report.rounded, report.clipped, report.uneven) == (49, 0, 0)
    assert report.error < 0.1


def test_everything_else_comes_along(made: Made) -> None:
    source, result = contents(made.source), contents(made.weights_only)
    for name in ("tokenizer.json", "tokenizer_config.json", "processor_config.json", "generation_config.json"):
        assert result[name] == source[name]
    config, original = json.loads(result["config.json"]), json.loads(source["config.json"])
    assert config.pop("quantization_config")["quant_algo"] == "W4A16_NVFP4"
    assert config == original
    wanted = json.loads(result["hf_quant_config.json"])["quantization"]
    assert (wanted["quant_algo"], wanted["group_size"]) == ("W4A16_NVFP4", 16)
    assert wanted["exclude_modules"] == [
        "lm_head",
        "model.audio_tower*",
        "model.embed_audio*",
        "model.embed_vision*",
        "model.vision_tower*",
    ]


def test_w4a4_has_a_range_for_the_activations_of_each_layer(made: Made) -> None:
    found = read_checkpoint(made.activations_too)
    layers = {name.removesuffix(".weight_scale") for name in found.tensors if name.endswith(".weight_scale")}
    ranges = {layer: _number(found, f"{layer}.input_scale") for layer in layers}
    assert all(0 < value < 1 for value in ranges.values())
    parent = "model.language_model.layers.0.self_attn"
    assert len({ranges[f"{parent}.{name}_proj"] for name in "qkv"}) == 1


def test_the_rounded_weights_are_those_of_modelopts_own_export(made: Made, tmp_path: Path) -> None:
    probe(made.tools, "export", str(made.source), str(tmp_path / "theirs"))
    ours, theirs = read_checkpoint(made.weights_only), read_checkpoint(tmp_path / "theirs")
    assert set(ours.tensors) == set(theirs.tensors)
    for name, tensor in ours.tensors.items():
        other = theirs.tensors[name]
        assert (tensor.dtype, tensor.shape) == (other.dtype, other.shape), name
        assert np.atleast_1d(tensor.read()).tobytes() == np.atleast_1d(other.read()).tobytes(), name
    for name in ("hf_quant_config.json", "config.json"):
        written, wanted = (
            json.loads((folder / name).read_text()) for folder in (made.weights_only, tmp_path / "theirs")
        )
        assert written.get("quantization_config", written) == wanted.get("quantization_config", wanted)


def test_each_search_leaves_less_of_the_error_that_it_looks_at(made: Made) -> None:
    errors = json.loads(probe(made.tools, "searches"))
    assert errors["sweep"] <= errors["mse"] < errors["four-over-six"] < errors["max"]
    assert errors["hessian, outputs"] < 0.7 * errors["mse, outputs"]


def test_w4a4_is_shown_the_bundled_pictures_and_clips_beside_text(made: Made) -> None:
    shown = json.loads((made.activations_too / "quantize.json").read_text())["calibration"]
    assert (shown["texts"], shown["pictures"], shown["clips"]) == (8, 24, 24)
    assert "8 texts, 24 pictures, 24 clips" in (made.activations_too / "README.md").read_text()


def test_options_combine_and_the_card_tells_them(made: Made, tmp_path: Path) -> None:
    """Calibrated with a file of one's own: texts, a picture and a clip."""
    target, own = tmp_path / "made", tmp_path / "own.jsonl"
    rows: list[dict[str, str]] = [{"text": f"The fox found {count} berries."} for count in ("two", "three", "four")]
    rows += [{"text": "What is this?", "image": str(asset("samples") / "scene.png")}]
    rows += [{"text": "What do you hear?", "audio": str(asset("samples") / "words.wav")}]
    own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["quantize", str(made.source), str(target), "--scales", "hessian", "--keep-per-layer", "--samples", "2"]
    assert main([*words, "--calib", str(own), "--python", str(made.tools.python)]) == 0
    source = read_checkpoint(made.source)
    plain, searched = (verify(read_checkpoint(each), source) for each in (made.weights_only, target))
    assert searched.ok, searched.problems
    assert (searched.uneven, searched.rounded) == (0, plain.rounded - 13)
    record = json.loads((target / "quantize.json").read_text())
    shown = record["calibration"]
    assert (shown["name"], shown["texts"], shown["pictures"], shown["clips"]) == ("own.jsonl", 2, 1, 1)
    card = (target / "README.md").read_text()
    assert "weighed by the inputs" in card
    assert "2 texts, 1 picture, 1 clip" in card


def not_a_number(folder: Path) -> None:
    weight = read_checkpoint(folder).tensors["model.language_model.layers.0.mlp.down_proj.weight"]
    with weight.file.open("r+b") as file:
        file.seek(weight.start + 2)
        file.write(b"\xc0\x7f")


def another_width(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["intermediate_size"] *= 2
    (folder / "config.json").write_text(json.dumps(config))


def a_norm_less(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes().replace(b"layers.0.input_layernorm", b"layers.0.other_layernorm", 1))


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (not_a_number, "down_proj.weight holds numbers that are none (NaN or infinite)"),
        (another_width, "where config.json asks for"),
        (a_norm_less, "lacks layers.0.input_layernorm.weight, which its config.json asks for"),
    ],
)
def test_what_only_the_weights_show_is_refused_in_a_sentence(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], wanted: str
) -> None:
    source, target = tmp_path / "source", tmp_path / "out" / "made"
    shutil.copytree(made.source, source)
    spoil(source)
    assert main(["quantize", str(source), str(target), "--python", str(made.tools.python)]) == 5
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gemma-tui: ")]
    assert len(said) == 1 and wanted in said[0]
    assert list((tmp_path / "out").iterdir()) == []


def probe(tools: Runtime, *words: str) -> str:
    """What the runtime's own Python prints."""
    command = [str(tools.python), "-W", "ignore", str(PROBE), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _number(checkpoint: Checkpoint, name: str) -> float:
    return float(np.atleast_1d(checkpoint.tensors[name].read())[0])


def test_the_script_beside_the_result_makes_it_again_with_modelopt_alone(made: Made, tmp_path: Path) -> None:
    script = made.weights_only / "quantize.py"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [str(made.tools.python), str(script), str(made.source), str(tmp_path / "again")]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    again, first = contents(tmp_path / "again"), contents(made.weights_only)
    assert again == {name: data for name, data in first.items() if name not in ("README.md", "quantize.py")}


def test_the_bundled_checkpoint_was_made_by_this_command(made: Made) -> None:
    """The same files and the same kind of record."""
    bundled, result = contents(asset("pocket")), contents(made.weights_only)
    assert set(bundled) >= set(result)
    record, other = json.loads(bundled["quantize.json"]), json.loads(result["quantize.json"])
    assert set(record) == set(other)
    assert (record["format"], record["options"]) == (other["format"], other["options"])
    assert read_checkpoint(asset("pocket")).quantization == "W4A16_NVFP4"


def test_w4a4_says_what_its_source_says(
    made: Made, real_endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pocket checkpoint in BF16, quantised with activations, verified, served, and compared with its source.

    The bundled checkpoint that the run's engine serves holds the very numbers of that BF16 source.
    """
    source, target = unpacked(tmp_path / "source"), tmp_path / "made"
    words = ["quantize", str(source), str(target), "--format", "nvfp4", "--samples", "16"]
    assert main([*words, "--python", str(made.tools.python)]) == 0
    report = verify(read_checkpoint(target), read_checkpoint(source))
    assert report.ok, report.problems
    assert report.clipped == 0
    capsys.readouterr()
    assert asyncio.run(_compared(target, f"unix:{real_endpoint.socket}")) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["perplexity"]["both"]["value"] == pytest.approx(1, abs=0.05)
    assert rows["greedy agreement"]["both"]["value"] > 0.9
    # Rounded activations must show: a divergence of nothing would mean that they were left alone.
    assert 1e-5 < rows["KL divergence, nats a token"]["both"]["value"] < 0.05
    for kind in ("questions", "pictures", "clips"):
        assert rows[f"{kind}, exact answer"]["ours"]["value"] >= 0.75, kind


async def _compared(checkpoint: Path, against: str) -> int:
    """What `eval` ends with for a checkpoint that is served meanwhile."""
    engine = Engine(load_profile("pocket"), cpu_runtime(), checkpoint)
    await engine.start()
    try:
        endpoint = await engine.wait_ready()
        words = ["eval", "--url", f"unix:{endpoint.socket}", "--against", against, "--limit", "4", "--json"]
        return await asyncio.to_thread(main, words)
    finally:
        await engine.stop()


def test_a_gemma_3_text_model_goes_the_whole_way(
    made: Made, engine_homes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "gemma3", tmp_path / "made"
    probe(made.tools, "gemma3", str(source), str(made.source))
    assert main(["quantize", str(source), str(target), "--python", str(made.tools.python)]) == 0
    assert main(["model", "verify", str(target), "--against", str(source)]) == 0
    monkeypatch.setenv("GEMMA_TUI_CONFIG_DIR", str(tmp_path))
    (tmp_path / "profiles").mkdir()
    for name, folder in (("before", source), ("after", target)):
        (tmp_path / "profiles" / f"{name}.toml").write_text(
            f'checkpoint = "{folder}"\nruntime = "{cpu_runtime().name}"\n'
            '[flags]\ndtype = "bfloat16"\nmax-model-len = 2048\nmax-num-seqs = 4\nenforce-eager = true\n'
        )
    capsys.readouterr()
    words = ["eval", "--profile", "after", "--against", "before", "--only", "text", "--limit", "2", "--json"]
    assert main(words) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["perplexity"]["both"]["count"] > 50
    assert 0 < rows["KL divergence, nats a token"]["both"]["value"] < 0.5
