"""What is found wrong with a checkpoint's own files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gemma_assets
from gemma_backend.checkpoint.check import INDEX, check
from gemma_tui.cli.main import main
from stubs import checkpoints

LAYER = "model.language_model.layers.0.mlp.down_proj"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small quantised checkpoint in two shards, with an index."""
    made = checkpoints.quantised_tensors(checkpoints.source_tensors())
    path = checkpoints.checkpoint(tmp_path / "ckpt", {}, checkpoints.QUANTISED_CONFIG)
    (path / "model.safetensors").unlink()
    names = list(made)
    shards = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, held in shards.items():
        checkpoints.write_safetensors(path / file, {name: made[name] for name in held})
    size = sum(values.nbytes for _, values in made.values())
    weight_map = {name: file for file, held in shards.items() for name in held}
    (path / INDEX).write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": weight_map}))
    return path


def test_a_sound_checkpoint_has_nothing_wrong(folder: Path) -> None:
    found = check(folder)
    assert found.problems == ()
    assert (found.files, found.checksums) == (2, 0)
    assert found.scales == 8


def test_the_bundled_one_is_sound() -> None:
    found = check(gemma_assets.path("pocket"))
    assert found.problems == ()
    assert found.scales > 50


def rewrite(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    index = json.loads((folder / INDEX).read_text())
    change(index)
    (folder / INDEX).write_text(json.dumps(index))


def lose_shard(folder: Path) -> None:
    (folder / "model-2.safetensors").unlink()


def cut(folder: Path) -> None:
    path = folder / "model-1.safetensors"
    path.write_bytes(path.read_bytes()[:-9])


def lengthen(folder: Path) -> None:
    with (folder / "model-1.safetensors").open("ab") as file:
        file.write(b"12345")


def name_another(folder: Path) -> None:
    rewrite(folder, lambda index: index["weight_map"].update({"nothing": "model-1.safetensors"}))  # type: ignore[attr-defined]


def forget_one(folder: Path) -> None:
    rewrite(folder, lambda index: index["weight_map"].pop(f"{LAYER}.weight"))  # type: ignore[attr-defined]


def misplace(folder: Path) -> None:
    rewrite(folder, lambda index: index["weight_map"].update({f"{LAYER}.weight": "model-9.safetensors"}))  # type: ignore[attr-defined]


def count_wrongly(folder: Path) -> None:
    rewrite(folder, lambda index: index["metadata"].update({"total_size": 1}))  # type: ignore[attr-defined]


def spoil_index(folder: Path) -> None:
    (folder / INDEX).write_text("[")


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def lose_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def twice(folder: Path) -> None:
    (folder / "model-3.safetensors").write_bytes((folder / "model-2.safetensors").read_bytes())


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lose_shard, "names model-2.safetensors, which is not there"),
        (cut, "model-1.safetensors is cut off"),
        (lengthen, "model-1.safetensors is 5 bytes longer than its header says"),
        (name_another, "names nothing, which model-1.safetensors does not hold"),
        (forget_one, f"{LAYER}.weight is missing from {INDEX}"),
        (misplace, "names model-9.safetensors, which is not there"),
        (count_wrongly, "1 bytes in all"),
        (spoil_index, f"{INDEX} is damaged"),
        (spoil_config, "config.json can't be read as JSON"),
        (lose_config, "holds no config.json"),
        (twice, "is in model-3.safetensors and in model-2.safetensors"),
    ],
)
def test_harm_to_files_is_named(folder: Path, harm: Callable[[Path], None], words: str) -> None:
    harm(folder)
    assert any(words in problem for problem in check(folder).problems), check(folder).problems


@pytest.mark.parametrize(
    ("ending", "dtype", "bits", "words"),
    [
        (".weight_scale", "F8_E4M3", 0x7F, "1 scales that are no numbers"),
        (".weight_scale", "F8_E4M3", 0xFF, "1 scales that are no numbers"),
        (".weight_scale", "F8_E4M3", 0x00, "1 scales that are zero"),
        (".weight_scale_2", "F32", np.nan, "no numbers"),
        (".weight_scale_2", "F32", 0, "zero"),
        (".input_scale", "F32", np.inf, "no numbers"),
    ],
)
def test_scales_that_spoil_their_numbers_are_named(
    tmp_path: Path, ending: str, dtype: str, bits: float, words: str
) -> None:
    made = checkpoints.quantised_tensors(checkpoints.source_tensors())
    values = made[LAYER + ending][1].copy() if LAYER + ending in made else np.array(1, np.float32)
    values[(0,) * values.ndim] = bits
    path = checkpoints.checkpoint(tmp_path, made | {LAYER + ending: (dtype, values)}, checkpoints.QUANTISED_CONFIG)
    problems = check(path).problems
    assert len(problems) == 1
    assert problems[0].startswith(f"{LAYER}{ending} holds ")
    assert words in problems[0]


def in_the_cache(folder: Path, cache: Path) -> Path:
    """The checkpoint as huggingface_hub keeps it: links to files that are named by their SHA-256."""
    snapshot, blobs = cache / "snapshots" / "abc", cache / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for path in folder.iterdir():
        data = path.read_bytes()
        blob = blobs / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (snapshot / path.name).symlink_to(blob)
    return snapshot


def test_checksums_of_the_hub_are_held_against_the_files(folder: Path, tmp_path: Path) -> None:
    snapshot = in_the_cache(folder, tmp_path / "cache")
    parts: list[float] = []
    found = check(snapshot, progress=parts.append)
    assert (found.checksums, found.problems) == (2, ())
    assert parts[-1] == 1
    blob = (snapshot / "model-2.safetensors").resolve()
    data = bytearray(blob.read_bytes())
    # The last byte is a number of some tensor: nothing but the checksum shows it.
    data[-1] ^= 1
    blob.write_bytes(bytes(data))
    assert check(snapshot).problems == ("model-2.safetensors is damaged: its checksum differs from the model hub's.",)
    assert check(snapshot, checksums=False).ok


def test_the_command_ends_with_5_where_something_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "verify", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "verified"
    lose_shard(folder)
    assert main(["model", "verify", str(folder)]) == 5
    said = capsys.readouterr().out
    assert "wrong: " in said
    assert "things are wrong" in said
    assert main(["model", "verify", str(folder), "--json"]) == 5
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert main(["model", "verify", str(folder / "none")]) == 5
