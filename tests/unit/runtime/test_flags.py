"""Options are read from vLLM's own help, once, and those that it does not know are refused with the nearest."""

from __future__ import annotations

import os
import sys
from itertools import product
from pathlib import Path

import pytest

from gemma_backend.config.profiles import Profile, list_profiles
from gemma_backend.engine.command import build
from gemma_backend.runtime import flags
from gemma_backend.runtime.found import Runtime
from gemma_backend.types import UsageError

HELP = Path(__file__).parents[2] / "fixtures" / "engine-help" / "vllm-0.32.0-cpu.txt"


@pytest.fixture
def known() -> flags.Flags:
    return flags.parse(HELP.read_text())


def test_a_real_help_is_read(known: flags.Flags) -> None:
    assert len(known.names) > 400
    for name in ("model", "uds", "no-enable-log-requests", "hf_overrides", "hf-overrides.rope", "linear-backend"):
        assert known.knows(name)
    # Words of descriptions and examples are no options.
    assert not any(known.knows(name) for name in ("json-arg", "no-such-flag", "disable-log-requests"))
    assert "marlin" in known.choices["linear-backend"] and known.choices["dtype"][0] == "auto"
    assert "kv-cache-dtype" in known.choices and "max-model-len" not in known.choices


def test_shipped_profiles_need_no_question_before_a_start() -> None:
    newest = flags.parse(HELP.with_name("vllm-0.33.0-cuda.txt").read_text())
    assert newest.knows("linear-backend")
    for profile, known in product(list_profiles(), (flags.parse(HELP.read_text()), newest)):
        assert flags.unknown(profile.flags, None) == [], profile.name
        assert flags.unknown(profile.flags, known) == [], profile.name


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("max-model-length", 8, "no option --max-model-length, which profile own sets; did you mean --max-model-len?"),
        ("enable-prefix-cachin", False, "did you mean --no-enable-prefix-caching?"),
        ("zzz", 1, "`vllm serve --help=all` lists those it knows"),
        ("kv-cache-dtype", "fp9", "--kv-cache-dtype does not take 'fp9'; did you mean fp8?"),
        ("dtype", "int", "it takes auto, bfloat16"),
    ],
)
def test_what_a_vllm_does_not_know_is_refused(known: flags.Flags, name: str, value: object, said: str) -> None:
    profile = Profile.model_validate({"name": "own", "checkpoint": "a/b", "flags": {name: value}})
    runtime = Runtime("r", "managed", "cuda", Path("python"), "0.32.0", Path())
    with pytest.raises(UsageError) as caught:
        build(profile, runtime, Path("/c"), port=1, known=known)
    assert said in str(caught.value)


def test_spellings_that_vllm_takes_are_taken(known: flags.Flags) -> None:
    own = {"max_model_len": 8, "hf-overrides.a.b": 1, "linear-backend": "flashinfer-cutlass", "enforce-eager": False}
    profile = Profile.model_validate({"name": "own", "checkpoint": "a/b", "flags": own})
    runtime = Runtime("r", "managed", "cuda", Path("python"), "0.32.0", Path())
    assert "--no-enforce-eager" in build(profile, runtime, Path("/c"), port=1, known=known).argv


def test_what_is_added_goes_by_the_options_of_a_build_without_a_version() -> None:
    names = frozenset({"max-model-len", "disable-log-requests"})
    runtime = Runtime("r", "path", "cuda", Path("python"), "", Path())
    profile = Profile(name="own", checkpoint="a/b", flags={"linear-backend": "marlin"})
    command = build(profile, runtime, Path("/c"), port=1, known=flags.Flags(names, {}))
    assert "--disable-log-requests" in command.argv and "--disable-access-log-for-endpoints" not in command.argv
    assert command.env["VLLM_NVFP4_GEMM_BACKEND"] == "marlin"


def test_it_is_asked_once_and_again_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CACHE", "STATE"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / kind))
    python, asked = tmp_path / "env" / "bin" / "python", tmp_path / "asked"
    site = tmp_path / "env" / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\necho "$@" >> {asked}\ncase "$*" in *=all) exit 2;; *) cat {HELP};; esac\n')
    python.chmod(0o755)
    runtime = Runtime("r", "path", "cuda", python, "0.32.0", tmp_path / "env")
    assert flags.known(runtime) is None
    first = flags.read(runtime)
    assert first is not None and first == flags.read(runtime) == flags.known(runtime)
    # An older release knows no `=all`; both words are tried, once.
    assert asked.read_text().count("\n") == 2
    os.utime(site, ns=(1, 1))
    assert flags.known(runtime) is None
    python.write_text(f"#!{sys.executable}\nraise SystemExit(3)\n")
    assert flags.read(runtime) is None
