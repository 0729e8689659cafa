"""`engine command` as each release of vLLM understands it: lines held against files, and against what is published.

A line that changed on purpose is renewed with `GOLDEN=write pytest tests/unit/engine/test_published.py`: look at the
difference before you commit it.
"""

from __future__ import annotations

import json
import lzma
import os
import shlex
import shutil
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from gemma_backend.checkpoint.fp4 import look_at
from gemma_backend.config.profiles import load_profile
from gemma_backend.engine.command import build, version_tuple
from gemma_backend.engine.fp4_backend import translate
from gemma_backend.runtime.found import Runtime
from gemma_backend.types import EngineError, UsageError

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "fixtures" / "commands"
CHECKPOINT = ROOT / "tests" / "fixtures" / "checkpoints" / "e2b-nvfp4a16"
VERSIONS = ("0.19.1", "0.21", "0.22", "0.24", "0.26", "0.33")
PUBLISHED = {
    "workstation": {
        "--quantization": "modelopt",
        "--dtype": "auto",
        "--kv-cache-dtype": "fp8",
        "--gpu-memory-utilization": "0.30",
        "--max-model-len": "131072",
    },
    "dgx-spark": {
        "--quantization": "modelopt",
        "--dtype": "auto",
        "--kv-cache-dtype": "fp8",
        "--gpu-memory-utilization": "0.10",
        "--max-model-len": "131072",
    },
}
# What is ours: where it listens, what it is called, a chat template that a base model lacks, and no prompt in a log.
OURS = {
    "--model",
    "--served-model-name",
    "--host",
    "--port",
    "--chat-template",
    "--no-enable-log-requests",
    "--disable-access-log-for-endpoints",
}
REPOSITORY = "bg-digitalservices/Gemma-4-E2B-NVFP4A16"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def printed(home: Path, profile: str, version: str) -> tuple[str, str]:
    """What the command prints on a machine with nothing on it, and what it says besides."""
    env = {f"GEMMA_TUI_{kind}_DIR": str(home / kind) for kind in ("STATE", "DATA", "CACHE", "LOG", "CONFIG")}
    env |= {"PYTHONPATH": ":".join(sys.path), "HOME": str(home), "PATH": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-m", "gemma_tui", "engine", "command", "--profile", profile, "--vllm", version],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    line = done.stdout.replace(str(home), "/home/me").replace(str(ROOT), "/program")
    return line.replace(f"--user {os.getuid()}:{os.getgid()}", "--user 1000:1000"), done.stderr


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("profile", PUBLISHED)
def test_the_printed_line(home: Path, profile: str, version: str) -> None:
    line, said = printed(home, profile, version)
    assert "is not on this computer" in said
    golden = GOLDEN / f"{profile}-{version}.txt"
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(line)
    assert line == golden.read_text()
    words = shlex.split(line)
    flags = dict(pairwise(words))
    for flag, value in PUBLISHED[profile].items():
        assert flags[flag] == value
    server = words[words.index("vllm.entrypoints.openai.api_server") + 1 :]
    more = {word for word in server if word.startswith("--")} - PUBLISHED[profile].keys() - OURS
    marlin = "VLLM_NVFP4_GEMM_BACKEND=marlin" in words, "--linear-backend" in more
    if profile == "workstation":
        # Its checkpoint was not looked at, so nothing is forced.
        assert marlin == (False, False)
    else:
        assert marlin == ((True, False) if version_tuple(version) < (0, 24) else (False, True))
        assert flags.get("--linear-backend", "marlin") == "marlin"
    assert more <= {"--linear-backend"}
    assert flags["--model"] == flags["--served-model-name"] == REPOSITORY
    assert not any("trust" in word for word in words)


def test_the_line_in_the_documentation_is_the_printed_one(home: Path) -> None:
    line, _ = printed(home, "dgx-spark", "0.33.0")
    page = (ROOT / "docs" / "runtimes.md").read_text()
    shown = page[page.index("mkdir -p") :].partition("\n\n")[0].replace("\\\n", " ").replace("`", "")
    assert shlex.split(shown) == shlex.split(line.replace("/program/assets", "/opt/gemma-tui"))


def full_size(folder: Path, algorithm: str, *, input_scales: bool, groups: bool) -> Path:
    """A checkpoint with the header of a full-size E2B and a body of holes, which says `algorithm` of itself."""
    packed = (CHECKPOINT / "model.safetensors.header.json.xz").read_bytes()
    header = json.loads(lzma.decompress(packed))
    end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    if input_scales:
        for name in [name for name in header if name.endswith(".weight_scale_2")]:
            scale = {"dtype": "F32", "shape": [], "data_offsets": [end, end + 4]}
            header[name.replace("weight_scale_2", "input_scale")] = scale
            end += 4
    text = json.dumps(header).encode()
    folder.mkdir()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    config = json.loads((CHECKPOINT / "config.json").read_text())
    said = config["quantization_config"] | {"quant_algo": algorithm}
    config["quantization_config"] = said if groups else {key: said[key] for key in said if key != "config_groups"}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_weight_only_checkpoint_that_says_nvfp4_gets_marlin(tmp_path: Path) -> None:
    """On the real header of a full-size checkpoint, as ModelOpt writes it now and as it could in April 2026."""

    def line(folder: Path, version: str, device: str = "cuda") -> tuple[str, str]:
        runtime = Runtime("given", "managed", device, Path("python"), version, Path())  # type: ignore[arg-type]
        command = build(load_profile("workstation"), runtime, folder, port=1, weights=look_at(folder))
        flags = dict(pairwise(command.argv))
        return command.env.get("VLLM_NVFP4_GEMM_BACKEND", ""), flags.get("--linear-backend", "")

    now = full_size(tmp_path / "now", "W4A16_NVFP4", input_scales=False, groups=True)
    with pytest.raises(EngineError, match=r"0\.21 was the first"):
        line(now, "0.19.1")
    assert {line(now, version) for version in ("0.21.0", "0.24.0", "0.28.0", "0.33.0", "")} == {("", "")}

    april = full_size(tmp_path / "april", "NVFP4", input_scales=False, groups=False)
    assert line(april, "0.19.1") == line(april, "0.23.0") == ("marlin", "")
    assert line(april, "0.24.0") == line(april, "0.28.0") == ("", "marlin")
    # Without groups, newer releases cannot tell either; with them they can from 0.29 on.
    assert line(april, "0.33.0") == ("", "marlin")
    told = full_size(tmp_path / "told", "NVFP4", input_scales=False, groups=True)
    assert line(told, "0.28.0") == ("", "marlin")
    assert line(told, "0.29.0") == line(told, "0.33.0") == ("", "")
    assert line(told, "0.28.0", "cpu") == ("", "")

    both = full_size(tmp_path / "both", "NVFP4", input_scales=True, groups=False)
    assert {line(both, version) for version in VERSIONS} == {("", "")}
    shutil.rmtree(both)
    assert look_at(both) is None


@pytest.mark.parametrize(
    ("value", "version", "env", "flag"),
    [
        ("flashinfer_cutlass", "0.19.1", "flashinfer-cutlass", None),
        ("triton", "0.22.0", None, "triton"),
        ("auto", "0.21.0", None, None),
        ("marlin", "0.23.0", "marlin", None),
        ("marlin", "0.24.0", None, "marlin"),
        ("marlin", "", None, "marlin"),
    ],
)
def test_a_backend_is_written_as_the_release_reads_it(
    value: str, version: str, env: str | None, flag: str | None
) -> None:
    flags: dict[str, str | int | float | bool] = {"linear-backend": value}
    variables: dict[str, str] = {}
    translate(flags, variables, version_tuple(version))
    assert (variables.get("VLLM_NVFP4_GEMM_BACKEND"), flags.get("linear-backend")) == (env, flag)


def test_a_variable_that_a_release_would_ignore_becomes_the_option() -> None:
    flags: dict[str, str | int | float | bool] = {}
    variables = {"VLLM_NVFP4_GEMM_BACKEND": "flashinfer-cutlass"}
    translate(flags, variables, (0, 26))
    assert flags == {"linear-backend": "flashinfer_cutlass"} and not variables
    with pytest.raises(UsageError, match="has no FP4 backend 'humming'"):
        translate({"linear-backend": "humming"}, {}, (0, 21))
