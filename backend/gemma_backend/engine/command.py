"""A profile and a runtime turned into vLLM's command line and environment, in the words of the runtime's version."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.runtime.found import Runtime

LAUNCHER = "gemma_in_engine.launcher"
SERVER = "vllm.entrypoints.openai.api_server"
# `--uds` came with 0.10.2 (vllm/entrypoints/openai/cli_args.py).
UDS_SINCE = (0, 11)
# `--disable-access-log-for-endpoints` came with 0.14 (vllm/entrypoints/openai/cli_args.py).
QUIET_SINCE = (0, 14)
# `--enable-log-requests` and its negation came with 0.10.1, where `--disable-log-requests` went.
LOG_REQUESTS_SINCE = (0, 10, 1)
# `--linear-backend` replaced VLLM_NVFP4_GEMM_BACKEND in 0.22 (vllm/config/kernel.py).
LINEAR_BACKEND_SINCE = (0, 22)
# `--trust-request-mm-kwargs` came with 0.31; before it every request could say how its pictures are scaled.
TRUST_SINCE = (0, 31)

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """What to run: `argv` holds no secret, `env` is laid over the inherited environment and may hold the key."""

    argv: tuple[str, ...]
    env: dict[str, str]

    def shell(self) -> str:
        """The command for a POSIX shell, the key left out."""
        words = [f"{name}={shlex.quote(value)}" for name, value in self.env.items() if name != "VLLM_API_KEY"]
        return " ".join([*words, shlex.join(self.argv)])


def version_tuple(version: str) -> tuple[int, ...]:
    """The release numbers of a version: `0.33.1.dev2+g1` gives (0, 33, 1)."""
    found = re.match(r"\d+(?:\.\d+)*", version.strip())
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def has_socket(version: str) -> bool:
    """Whether this vLLM can listen on a Unix socket; an unknown version is taken for a new one."""
    return not version_tuple(version) or version_tuple(version) >= UDS_SINCE


def caches_of(runtime: Runtime) -> str:
    """Name of the folder that holds a runtime's compile caches, which another version or image could not use."""
    version = runtime.version or "unknown"
    return version if runtime.image is None else f"{version}-{runtime.image.id.rpartition(':')[2][:12]}"


def build(
    profile: Profile,
    runtime: Runtime,
    checkpoint: Path,
    *,
    socket: Path | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    key: str | None = None,
    folder: Path | None = None,
    plugin: Path | None = None,
    plugin_names: tuple[str, ...] = (),
    chat_template: Path | None = None,
    caches: Path | None = None,
    inherited: Mapping[str, str] | None = None,
) -> EngineCommand:
    """Return the command that serves `checkpoint`, on `socket` or else on `host` and `port`.

    `folder` is the engine's own (temporary files and ZeroMQ sockets go there), `plugin` the folder that holds
    `gemma_in_engine`, `caches` where compiled graphs are kept. `inherited` is the environment that PYTHONPATH and
    VLLM_PLUGINS are extended from.
    """
    flags = dict(profile.flags)
    env = _environment(profile, runtime, folder, caches)
    env |= _plugins(plugin, plugin_names, inherited or {})
    if key is not None:
        env["VLLM_API_KEY"] = key
    argv = [str(runtime.python), "-m", LAUNCHER if plugin is not None else SERVER]
    argv += ["--model", str(checkpoint), "--served-model-name", profile.served_name or str(checkpoint)]
    argv += ["--uds", str(socket)] if socket is not None else ["--host", host, "--port", str(port or 8000)]
    version = version_tuple(runtime.version)
    _linear_backend(flags, env, version)
    if chat_template is not None and "chat-template" not in flags:
        argv += ["--chat-template", str(chat_template)]
    if not version or version >= LOG_REQUESTS_SINCE:
        argv += ["--no-enable-log-requests"]
    else:
        argv += ["--disable-log-requests"]
    if not version or version >= QUIET_SINCE:
        argv += ["--disable-access-log-for-endpoints", "/health,/metrics"]
    if socket is not None and version >= TRUST_SINCE:
        # Such requests can run code, and over TCP `/invocations` takes them without a key; this socket is the person's.
        argv += ["--trust-request-mm-kwargs"]
    if profile.trust_remote_code:
        argv += ["--trust-remote-code"]
    for name, value in flags.items():
        argv += _flag(name, value)
    return EngineCommand(tuple(argv), env)


def _flag(name: str, value: Value) -> list[str]:
    if value is True:
        return [f"--{name}"]
    if value is False:
        return [f"--no-{name}"]
    return [f"--{name}", str(value)]


def _environment(profile: Profile, runtime: Runtime, folder: Path | None, caches: Path | None) -> dict[str, str]:
    env = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if runtime.device == "cpu":
        env["VLLM_CPU_KVCACHE_SPACE"] = "1"
    if folder is not None:
        env |= {"TMPDIR": str(folder / "tmp"), "VLLM_RPC_BASE_PATH": str(folder / "tmp")}
    if caches is not None:
        # Inductor's default lies below TMPDIR, which is removed at the end: a second start would compile again.
        env |= {"VLLM_CACHE_ROOT": str(caches / "vllm"), "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor")}
    return env | profile.engine_environment


def _plugins(plugin: Path | None, names: tuple[str, ...], inherited: Mapping[str, str]) -> dict[str, str]:
    if plugin is None:
        return {}
    env = {"PYTHONPATH": ":".join(part for part in (str(plugin), inherited.get("PYTHONPATH", "")) if part)}
    chosen = inherited.get("VLLM_PLUGINS")
    if chosen is not None:
        # Set at all, it names the only plugins that vLLM loads.
        wanted = [one for one in chosen.split(",") if one]
        env["VLLM_PLUGINS"] = ",".join([*wanted, *(name for name in names if name not in wanted)])
    return env


def _linear_backend(flags: dict[str, Value], env: dict[str, str], version: tuple[int, ...]) -> None:
    if "linear-backend" in flags and version and version < LINEAR_BACKEND_SINCE:
        env["VLLM_NVFP4_GEMM_BACKEND"] = str(flags.pop("linear-backend")).replace("_", "-")
