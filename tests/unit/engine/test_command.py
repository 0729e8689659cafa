"""Command lines: what a profile becomes for a version of vLLM, and what never stands in them."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gemma_backend.config.profiles import Profile, load_profile
from gemma_backend.engine.command import build, has_socket, version_tuple
from gemma_backend.runtime.found import Runtime

ROOT = Path(__file__).parents[3]


def runtime(version: str, device: str = "cuda") -> Runtime:
    return Runtime("given", "path", device, Path("/venv/bin/python"), version, Path("/venv"))


def after(argv: tuple[str, ...], flag: str) -> str:
    return argv[argv.index(flag) + 1]


def test_workstation_is_the_published_command() -> None:
    profile = load_profile("workstation")
    # What `auto` comes to on a card of 80 GB.
    profile = profile.model_copy(
        update={"flags": profile.flags | {"gpu-memory-utilization": 0.3, "max-model-len": 131_072}}
    )
    argv = build(profile, runtime("0.26.0"), Path("/ckpt"), port=8000).argv
    assert argv[:3] == ("/venv/bin/python", "-m", "vllm.entrypoints.openai.api_server")
    assert after(argv, "--model") == "/ckpt"
    assert after(argv, "--served-model-name") == "bg-digitalservices/Gemma-4-E2B-NVFP4A16"
    for flag, value in {
        "--quantization": "modelopt",
        "--dtype": "auto",
        "--kv-cache-dtype": "fp8",
        "--gpu-memory-utilization": "0.30",
        "--max-model-len": "131072",
        "--host": "127.0.0.1",
        "--port": "8000",
    }.items():
        assert after(argv, flag) == value
    assert "--trust-remote-code" not in argv


@pytest.mark.parametrize("version", ["0.19.1", "0.21.0", "0.22.0", "0.23.1", "0.24.0", "0.33.0"])
def test_marlin_is_asked_for_as_the_version_understands_it(version: str) -> None:
    command = build(load_profile("dgx-spark"), runtime(version), Path("/ckpt"), port=8000)
    # Both forms work in 0.22 and 0.23; the variable is the published one.
    if version_tuple(version) < (0, 24):
        assert command.env["VLLM_NVFP4_GEMM_BACKEND"] == "marlin" and "--linear-backend" not in command.argv
    else:
        assert after(command.argv, "--linear-backend") == "marlin"
        assert "VLLM_NVFP4_GEMM_BACKEND" not in command.env


@pytest.mark.parametrize(("version", "trusted"), [("0.30.0", False), ("0.31.0", True), ("0.33.0", True), ("", False)])
def test_requests_say_how_pictures_are_scaled_on_the_persons_own_socket_alone(version: str, trusted: bool) -> None:
    profile = load_profile("pocket")
    own = build(profile, runtime(version, "cpu"), Path("/ckpt"), socket=Path("/s/api.sock"))
    assert ("--trust-request-mm-kwargs" in own.argv) is trusted
    # Over TCP `/invocations` asks for no key.
    assert "--trust-request-mm-kwargs" not in build(profile, runtime(version), Path("/ckpt"), port=8000, key="k").argv


def test_nothing_is_reported_and_no_prompt_is_logged() -> None:
    command = build(load_profile("pocket"), runtime("0.32.0", "cpu"), Path("/ckpt"), socket=Path("/s/api.sock"))
    for name in ("VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE"):
        assert command.env[name] == "1"
    assert "--no-enable-log-requests" in command.argv
    assert after(command.argv, "--uds") == "/s/api.sock" and "--port" not in command.argv
    assert command.env["VLLM_CPU_KVCACHE_SPACE"] == "1"


def test_the_key_is_in_the_environment_alone() -> None:
    command = build(load_profile("pocket"), runtime("0.32.0", "cpu"), Path("/ckpt"), port=1, key="k-e-y")
    assert command.env["VLLM_API_KEY"] == "k-e-y"
    assert not any("k-e-y" in word for word in command.argv)
    assert "k-e-y" not in command.shell()


def test_flags_and_environment_of_a_profile() -> None:
    profile = Profile(
        name="own",
        checkpoint="a/b",
        flags={"enforce-eager": True, "enable-prefix-caching": False, "limit-mm-per-prompt": '{"image": 1}'},
        environment={"VLLM_CPU_KVCACHE_SPACE": "7", "HF_HUB_OFFLINE": "0"},
        trust_remote_code=True,
    )
    command = build(profile, runtime("0.32.0", "cpu"), Path("/c k"), port=8000, chat_template=Path("/t.jinja"))
    assert "--enforce-eager" in command.argv and "--no-enable-prefix-caching" in command.argv
    assert "--trust-remote-code" in command.argv
    assert after(command.argv, "--chat-template") == "/t.jinja"
    assert command.env["VLLM_CPU_KVCACHE_SPACE"] == "7" and command.env["HF_HUB_OFFLINE"] == "0"
    words = shlex.split(command.shell())
    assert words[-len(command.argv) :] == list(command.argv)


def test_plugins_are_added_to_those_of_the_person() -> None:
    def plugins(**inherited: str) -> dict[str, str]:
        profile, folder = load_profile("pocket"), Path("/plugin")
        given = {"port": 8000, "plugin": folder, "plugin_names": ("ours",), "inherited": inherited}
        return build(profile, runtime("0.32.0", "cpu"), Path("/c"), **given).env

    assert plugins()["PYTHONPATH"] == "/plugin"
    assert plugins(PYTHONPATH="/mine")["PYTHONPATH"] == "/plugin:/mine"
    assert "VLLM_PLUGINS" not in plugins()
    assert plugins(VLLM_PLUGINS="theirs")["VLLM_PLUGINS"] == "theirs,ours"


def test_versions() -> None:
    assert version_tuple("0.33.1.dev2+g1") == (0, 33, 1)
    assert version_tuple("unknown") == ()
    assert has_socket("0.19.1") and has_socket("") and not has_socket("0.9.2")


def call(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    roots = ":".join(str(ROOT / part) for part in ("app", "backend", "assets"))
    homes = {f"GEMMA_TUI_{kind}_DIR": str(home / kind) for kind in ("STATE", "DATA", "CACHE", "LOG", "CONFIG")}
    env = dict(os.environ) | {"PYTHONPATH": roots} | homes
    command = [sys.executable, "-m", "gemma_tui", *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


def test_serve_refuses_what_cannot_be(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        for words, code, said in (
            (["--no-key", "--host", "0.0.0.0"], 2, "--no-key is refused"),
            (["--port", "70000"], 2, "no port"),
            (["--port", port], 3, f"Port {port} on 127.0.0.1 is already in use"),
            (["--profile", "pockett"], 2, "'pocket'"),
            (["--profile", "pocket"], 3, "gemma-tui engine install --runtime cpu"),
        ):
            done = call("serve", *words, home=tmp_path)
            assert (done.returncode, done.stdout) == (code, ""), done.stderr
            assert said in done.stderr and done.stderr.count("\n") == 1


def test_engine_commands_without_an_engine(tmp_path: Path) -> None:
    status = call("engine", "status", "--json", home=tmp_path)
    assert (status.returncode, status.stdout) == (0, "[]\n")
    assert "No engine is running" in call("engine", "stop", home=tmp_path).stdout
    assert call("engine", "stop", "none", home=tmp_path).returncode == 2
    assert call("engine", "start", home=tmp_path).returncode == 2
    shown = call("engine", "command", "--profile", "workstation", "--vllm", "0.26.0", home=tmp_path)
    assert shown.returncode == 0, shown.stderr
    words = shlex.split(shown.stdout)
    assert "VLLM_NO_USAGE_STATS=1" in words and "bg-digitalservices/Gemma-4-E2B-NVFP4A16" in words
