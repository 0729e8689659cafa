"""What doctor says of broken machines, as facts; and of a few that are really broken."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from gemma_backend.checkpoint.fit import Card, fit
from gemma_backend.checkpoint.fp4 import Fp4
from gemma_backend.checkpoint.reader import Need
from gemma_backend.config.profiles import load_profile
from gemma_backend.metrics.gpu import Driver
from gemma_backend.runtime.fitting import misfits
from gemma_backend.runtime.flags import Flags
from gemma_backend.runtime.found import Runtime
from gemma_backend.runtime.packages import Packages
from gemma_backend.session import bundle
from gemma_backend.session.checkup import Finding, findings
from gemma_backend.session.machine import Facts, Folder, Installed, User, listener, writes
from gemma_backend.types import BadInput, GpuMemory
from stubs.full_size import expanded

GIB = 1 << 30
SOUND = {
    "vllm": "0.33.0",
    "torch": "2.14.0",
    "torchvision": "0.29.0",
    "transformers": "5.20.2",
    "tokenizers": "0.23.3",
    "safetensors": "0.8.0",
}
REQUIRES = {
    "vllm": ("transformers<5.21,>=5.16.1", "tokenizers>=0.23.2", "torch==2.14.0", 'six>=1; python_version > "3.11"'),
    "transformers": ("tokenizers<=0.24.0,>=0.22.0",),
}
PACKAGES = Packages("3.12.3", SOUND, REQUIRES, "13.0")
CUDA = Runtime("cuda", "managed", "cuda", Path("/r/bin/python"), "0.33.0", Path("/r"))
CARD = GpuMemory(0, "NVIDIA RTX 4090", "GPU-1", 24 * GIB, 1 * GIB, 23 * GIB, compute_capability=(8, 9))
WEIGHTS = Fp4("W4A16_NVFP4", input_scales=False, groups_say=True, in_config=True)


@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Facts:
    """A workstation with nothing wrong."""
    monkeypatch.setenv("GEMMA_TUI_CONFIG_DIR", str(tmp_path / "config"))
    return Facts(
        python="3.12.3 at /python",
        memory=(30 * GIB, 32 * GIB),
        shared_memory=16 * GIB,
        folders=(
            Folder("data folder", Path("/data"), "GEMMA_TUI_DATA_DIR", 10**12, True),
            Folder("cache folder", Path("/cache"), "GEMMA_TUI_CACHE_DIR", 10**12, True),
        ),
        gpus=(CARD,),
        driver=Driver("580.95.05", (13, 0)),
        profile=load_profile("workstation"),
        installed=Installed(CUDA, PACKAGES),
        checkpoint=Path("/checkpoint"),
        weights=WEIGHTS,
        port=8000,
    )


def wrong(facts: Facts) -> list[Finding]:
    return [finding for finding in findings(facts) if finding.verdict == "missing"]


def only(facts: Facts) -> str:
    """The one thing that is wrong, with what to do."""
    found = wrong(facts)
    assert len(found) == 1, found
    assert found[0].advice
    return f"{found[0].subject}: {found[0].text}. {found[0].advice}"


def test_nothing_is_wrong_with_a_sound_machine(sound: Facts) -> None:
    assert wrong(sound) == []
    assert any(finding.subject == "NVIDIA driver" for finding in findings(sound))


@pytest.mark.parametrize(
    ("release", "told", "built", "old"),
    [
        ("570.86.10", (12, 8), "13.0", True),
        ("580.65.06", (13, 0), "13.0", False),
        ("535.54.03", (12, 2), "12.8", False),
        ("470.57.02", (11, 4), "12.8", True),
        ("", (12, 8), "14.1", True),
        ("600.10", (14, 0), "14.1", False),
        ("570.86.10", (12, 8), "", False),
    ],
)
def test_a_driver_too_old_for_the_runtimes_cuda(
    sound: Facts, release: str, told: tuple[int, int], built: str, old: bool
) -> None:
    facts = replace(sound, driver=Driver(release, told), installed=Installed(CUDA, replace(PACKAGES, cuda=built)))
    if not old:
        assert wrong(facts) == []
        return
    said = only(facts)
    assert f"built for CUDA {built}" in said and "Update the driver" in said


def held(**versions: str) -> Packages:
    return replace(PACKAGES, versions=SOUND | versions)


@pytest.mark.parametrize(
    ("packages", "said"),
    [
        (held(transformers="5.21.0"), "vLLM 0.33.0 accepts transformers >=5.16.1,<5.21, and 5.21.0 is installed"),
        (held(tokenizers="0.22.2"), "vLLM 0.33.0 accepts tokenizers >=0.23.2, and 0.22.2 is installed"),
        (held(tokenizers="0.25.0"), "transformers 5.20.2 accepts tokenizers >=0.22.0,<=0.24.0, and 0.25.0"),
        (held(torchvision="0.28.0"), "torchvision 0.28.0 was built for torch 2.13, and 2.14.0 is installed"),
        (held(vllm="0.27.1", transformers="5.17.0"), "AmbiguousGlobalPerLayerAttributeError"),
        (held(vllm="0.19.0", transformers="5.4.0"), "cannot read Gemma 4 with it"),
        (held(vllm="0.17.1"), "knows no Gemma 4; 0.19.1 was the first"),
        (Packages("3.12", {"vllm": "0.33.0", "torch": "2.14.0"}), "lacks torchvision, transformers, tokenizers"),
        (Packages("3.12", {"torch": "2.14.0"}), "vLLM is not installed"),
    ],
)
def test_packages_that_do_not_fit(packages: Packages, said: str) -> None:
    # What the older releases ask for is not in these facts: the pairs are known to fail by themselves.
    found = misfits(packages if packages.vllm == "0.33.0" else replace(packages, requires={}))
    assert found and found[0].fatal and said in found[0].text and found[0].advice


def test_a_pair_that_was_run_fits() -> None:
    versions = {"vllm": "0.26.0", "torch": "2.11.0", "torchvision": "0.26.0", "transformers": "5.10.4"}
    found = misfits(replace(PACKAGES, versions=SOUND | versions | {"tokenizers": "0.22.2"}, requires={}))
    assert [one.fatal for one in found] == [False] and "two clips" in found[0].text


def test_a_checkpoint_that_the_runtimes_transformers_cannot_read(sound: Facts) -> None:
    said = only(replace(sound, checkpoint_need=Need("5.22", "its config.json is new", True)))
    assert "checkpoint needs transformers 5.22 or newer" in said and "has 5.20.2" in said
    perhaps = replace(sound, checkpoint_need=Need("5.22.0", "it was written by transformers 5.22.0", False))
    assert wrong(perhaps) == []
    assert any("written by transformers 5.22.0" in one.text for one in findings(perhaps) if one.verdict == "note")
    assert wrong(replace(sound, checkpoint_need=Need("5.10.4", "it was written by transformers 5.10.4", False))) == []


def test_a_torchvision_that_cannot_load(sound: Facts) -> None:
    error = "RuntimeError: operator torchvision::nms does not exist"
    said = only(replace(sound, installed=Installed(CUDA, PACKAGES, import_problem=error)))
    assert error in said and "+cpu beside +cpu" in said


def test_no_space_and_small_shared_memory(sound: Facts) -> None:
    assert "remount,size=8g" in only(replace(sound, shared_memory=64 << 20))
    full = replace(sound.folders[0], free=5 * 10**9)
    facts = replace(sound, folders=(full,), installed=None, runtime_disk=14 * 10**9)
    found = {finding.subject: finding for finding in wrong(facts)}
    assert "14.0 GB are still to be fetched and 5.0 GB are free" in found["disk"].text
    nearly = replace(sound.folders[1], free=10**8)
    assert "only 0.1 GB free" in only(replace(sound, folders=(sound.folders[0], nearly)))


def test_a_folder_that_cannot_be_written(sound: Facts) -> None:
    closed = replace(sound.folders[1], writable=False)
    said = only(replace(sound, folders=(closed,)))
    assert "/cache" in said and "GEMMA_TUI_CACHE_DIR" in said


def test_a_gpu_that_others_fill_is_told_with_pid_and_size(sound: Facts) -> None:
    full = replace(CARD, free=3 * GIB, used=21 * GIB)
    users = (User(4242, "python", 20 * GIB), User(17, "Xorg", None))
    said = only(replace(sound, gpus=(full,), gpu_users={0: users}))
    assert "3.0 of 24.0 GiB free, and the profile takes 9.0" in said
    assert "held by python (pid 4242) with 20.0 GiB, Xorg (pid 17)" in said
    fixed = load_profile("workstation").model_copy(update={"flags": {"gpu-memory-utilization": 0.5}})
    assert "takes 12.0" in only(replace(sound, gpus=(full,), profile=fixed))
    # The pocket checkpoint runs beside it, on the CPU.
    cpu = Installed(replace(CUDA, device="cpu"), PACKAGES)
    assert wrong(replace(sound, gpus=(full,), profile=load_profile("pocket"), installed=cpu)) == []


def test_weights_that_a_release_reads_wrong_or_not_at_all(sound: Facts) -> None:
    old = replace(CUDA, version="0.20.1")
    assert "0.21 was the first" in findings_of(replace(sound, installed=Installed(old, None)), "checkpoint")
    april = replace(WEIGHTS, algorithm="NVFP4", groups_say=None)
    notes = [f.text for f in findings(replace(sound, weights=april)) if f.subject == "FP4"]
    assert any("Marlin kernels are asked for" in note for note in notes)
    alone = replace(WEIGHTS, in_config=False)
    assert "hf_quant_config.json alone" in findings_of(replace(sound, weights=alone), "checkpoint")


@pytest.mark.parametrize(
    ("capability", "weights", "said"),
    [
        ((12, 0), Fp4("NVFP4", True, None, True), "CUTLASS kernels for W4A4"),
        ((12, 1), Fp4("NVFP4", True, None, True), "linear-backend to marlin"),
        ((9, 0), Fp4("NVFP4", True, None, True), "no FP4 units"),
        ((8, 9), WEIGHTS, "no native support for FP4 is normal"),
    ],
)
def test_what_vllm_does_silently_is_said(sound: Facts, capability: tuple[int, int], weights: Fp4, said: str) -> None:
    facts = replace(sound, gpus=(replace(CARD, compute_capability=capability),), weights=weights)
    assert any(said in finding.text for finding in findings(facts) if finding.subject == "FP4")
    assert wrong(facts) == []


def test_an_option_that_the_runtime_does_not_know(sound: Facts) -> None:
    mine = load_profile("workstation").model_copy(update={"flags": {"max-model-length": 5}})
    known = Flags(frozenset({"max-model-len"}), {})
    assert "did you mean --max-model-len?" in only(
        replace(sound, profile=mine, installed=Installed(CUDA, PACKAGES, known))
    )


def findings_of(facts: Facts, subject: str) -> str:
    return next(finding.text for finding in findings(facts) if finding.subject == subject)


def test_a_port_in_use_is_told_with_who_has_it(sound: Facts) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken, user = listener(port)
        assert taken and user is not None and user.pid == os.getpid()
        found = findings(replace(sound, port=port, port_taken=taken, port_user=user))[-1]
        assert found.verdict == "note" and f"(pid {os.getpid()})" in found.text
    assert listener(port) == (False, None)


BROKEN = """
mount -t tmpfs -o ro none "$GEMMA_TUI_CACHE_DIR" && mount -t tmpfs -o size=32m none /dev/shm || exit 90
exec "$0" -m gemma_tui doctor --profile pocket --json
"""


def test_a_machine_that_is_really_broken(tmp_path: Path) -> None:
    """A read-only disk and a small /dev/shm, in a mount namespace of their own."""
    env = {f"GEMMA_TUI_{kind}_DIR": str(tmp_path / kind) for kind in ("STATE", "DATA", "CACHE", "LOG", "CONFIG")}
    (tmp_path / "CACHE").mkdir()
    alone = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    done = subprocess.run(
        [*alone, "sh", "-c", BROKEN, sys.executable],
        env=dict(os.environ) | env | {"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    found = {row["subject"]: row for row in json.loads(done.stdout)}
    assert found["cache folder"]["verdict"] == "missing" and "cannot be written" in found["cache folder"]["text"]
    assert found["shared memory"]["verdict"] == "missing" and "32 MiB" in found["shared memory"]["text"]
    assert found["data folder"]["verdict"] == "ok"
    assert writes(tmp_path) and not writes(Path("/proc"))


def test_a_report_holds_no_secret(sound: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    for kind in ("STATE", "LOG", "CONFIG"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / kind))
        (tmp_path / kind).mkdir(exist_ok=True)
    monkeypatch.setenv("GEMMA_TUI_API_KEY", "key-of-the-environment")
    (tmp_path / "STATE" / "serve.key").write_text("a-made-key-of-serve\n")
    logs = tmp_path / "LOG" / "engine"
    logs.mkdir()
    log = Path(__file__).parents[2] / "fixtures" / "engine-logs" / "fail-port-in-use.log"
    lines = f"Authorization: Bearer abcdef123456\n{tmp_path}/me/models hf_abcdefghijkl\nkey a-made-key-of-serve\n"
    (logs / "20261125-1-x.log").write_text(log.read_text() + lines + "GET https://me:pass@host/x api_key='zzzzzz'\n")
    (tmp_path / "CONFIG" / "config.toml").write_text('[profiles.mine]\nurl = "http://u:pw1234@h/v1"\n')
    profile = load_profile("workstation").model_copy(
        update={"environment": {"HF_TOKEN": "topsecret", "VLLM_LOGGING_LEVEL": "DEBUG"}, "url": "http://u:pw1234@h/v1"}
    )
    found = bundle.items(replace(sound, profile=profile))
    bundle.write(tmp_path / "report.zip", found)
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    whole = "\n".join(texts.values())
    secrets = (
        "topsecret",
        "pw1234",
        "abcdef123456",
        "hf_abcdefghijkl",
        "a-made-key",
        "key-of-the-env",
        "zzzzzz",
        "me:pass",
    )
    assert not [secret for secret in (*secrets, "me:pass") if secret in whole]
    assert str(tmp_path / "me") not in whole and "~/models" in whole
    assert "Port 8132 is already in use" in texts["phases/20261125-1-x.json"]
    assert json.loads(texts["config.json"])["profile"]["environment"]["VLLM_LOGGING_LEVEL"] == "DEBUG"
    assert json.loads(texts["versions.json"])["driver"]["release"] == "580.95.05"
    assert (tmp_path / "report.zip").stat().st_mode & 0o777 == 0o600
    with pytest.raises(BadInput, match="is there already"):
        bundle.write(tmp_path / "report.zip", found)


@pytest.mark.parametrize(("free", "verdict"), [(12, "ok"), (3, "note")])
def test_the_memory_plan_is_told(tmp_path: Path, free: int, verdict: str) -> None:
    flags = load_profile("workstation").flags
    plan = fit(expanded("e2b-nvfp4a16", tmp_path), flags, Card(free << 30, free << 30))
    found = [one for one in findings(Facts(plan=plan)) if one.subject == "memory plan"]
    assert [one.verdict for one in found] == [verdict]
    assert found[0].text == plan.verdict
    assert bool(found[0].advice) is not plan.fits
