"""The script that stands beside a result: what it copies, reads and takes over, without torch."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gemma_backend.checkpoint.gemma import MERGED
from gemma_backend.quantize import plan
from gemma_backend.quantize.run import SCRIPT


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("standalone_quantize", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def one_tensor(dtype: str) -> bytes:
    """A safetensors file of one number, called a."""
    header = json.dumps({"a": {"dtype": dtype, "shape": [1], "data_offsets": [0, 1]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0"


@pytest.fixture
def script() -> ModuleType:
    return load(SCRIPT)


def test_plan_and_script_speak_of_the_same_things(script: ModuleType) -> None:
    assert tuple(script.FORMATS) == plan.FORMATS
    assert script.EXCLUDED == plan.EXCLUDED
    assert script.FUSED == MERGED
    assert script.GROUP == plan.GROUP
    assert script.SCALES == plan.SCALES
    options = plan.Options()
    for name, value in script.DEFAULTS.items():
        assert getattr(options, name) == (tuple(value) if isinstance(value, list) else value), name


def test_what_belongs_to_the_weights_stays_behind(script: ModuleType, tmp_path: Path) -> None:
    brought = ["tokenizer.json", "processor_config.json", "generation_config.json", "chat_template.jinja", "LICENSE"]
    left = [
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "config.json",
        "README.md",
        ".gitattributes",
        "quantize.json",
    ]
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    for name in [*brought, *left]:
        (source / name).write_text(name)
    (source / "images").mkdir()
    script.copy_rest(source, target)
    assert sorted(path.name for path in target.iterdir()) == sorted(brought)


@pytest.mark.parametrize(
    ("name", "data", "wanted"),
    [
        ("a.txt", "one\n\n two\n", ["one", " two"]),
        ("a.jsonl", '{"text": "one", "id": "x"}\n{"article": "two"}\n"three"\n', ["one", "two", "three"]),
    ],
)
def test_calibration_texts(script: ModuleType, tmp_path: Path, name: str, data: str, wanted: list[str]) -> None:
    (tmp_path / name).write_text(data)
    assert [sample.text for sample in script.samples(tmp_path / name)] == wanted


def test_calibration_with_pictures_and_clips(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "a.jsonl").write_text('{"text": "What?", "image": "a.png"}\n{"image": "a.png"}\n{"text": "plain"}\n')
    found = script.samples(tmp_path / "a.jsonl")
    assert [(each.text, each.image, each.audio) for each in found] == [
        ("What?", tmp_path / "a.png", None),
        ("", tmp_path / "a.png", None),
        ("plain", None, None),
    ]
    (tmp_path / "b.jsonl").write_text('{"text": "What?", "audio": "missing.wav"}\n')
    with pytest.raises(script.Unfit, match=r"b\.jsonl, line 1: there is no file .*missing\.wav"):
        script.samples(tmp_path / "b.jsonl")


@pytest.mark.parametrize("data", ["{not json\n", '{"id": 3}\n', "[]\n"])
def test_calibration_that_is_no_text_gets_one_sentence(script: ModuleType, tmp_path: Path, data: str) -> None:
    (tmp_path / "a.jsonl").write_text(data)
    with pytest.raises(script.Unfit, match=r"a\.jsonl, line 1"):
        script.samples(tmp_path / "a.jsonl")


def test_options_come_from_the_record_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(SCRIPT, tmp_path)
    options = {
        "samples": 7,
        "batch_size": 2,
        "seq_len": 64,
        "seed": 5,
        "exclude": ["*gate*"],
        "fuse_scales": False,
        "scales": "mse",
    }
    record = {"format": "nvfp4", "options": options, "source": {"name": "me/model"}}
    (tmp_path / "quantize.json").write_text(json.dumps(record))
    monkeypatch.setattr(sys, "argv", ["quantize.py", "source", "target", "--seed", "6", "--calib", "a.txt"])
    found: argparse.Namespace = load(tmp_path / "quantize.py").parse()
    wanted = {**options, "seed": 6, "format": "nvfp4", "source_name": "me/model"}
    assert {name: getattr(found, name) for name in wanted} == wanted


def test_it_refuses_a_full_folder_before_importing_anything(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "source", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    assert "is not empty" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"", "is damaged or no safetensors file"),
        (b"\xff" * 100, "is damaged or no safetensors file"),
        (struct.pack("<Q", 2) + b"[]", "is damaged or no safetensors file"),
        (one_tensor("F4"), "a has the type F4"),
    ],
)
def test_files_without_tensors_get_one_sentence(script: ModuleType, tmp_path: Path, data: bytes, wanted: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(script.Unfit, match=wanted):
        script.stored(tmp_path)


def test_a_tensor_in_two_files_is_refused(script: ModuleType, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(one_tensor("U8"))
    with pytest.raises(script.Unfit, match=r"a is in a\.safetensors and in b\.safetensors: remove"):
        script.stored(tmp_path)


def test_whoever_asked_for_it_and_was_killed_leaves_nothing(script: ModuleType, tmp_path: Path) -> None:
    """The other end of the pipe goes: the worker ends by itself, and its half result with it."""
    building = tmp_path / "building"
    building.mkdir()
    reading, writing = os.pipe()
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import quantize, pathlib, threading;"
        f"quantize.watch({writing}, pathlib.Path({str(building)!r}))"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], pass_fds=(writing,))
    os.close(writing)
    assert worker.poll() is None and building.exists()
    os.close(reading)
    assert worker.wait() == 1
    assert not building.exists()
