"""A profile and a runtime turned into vLLM's command line and environment, in the words of the runtime's version."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_backend.engine.fp4_backend import FLAG, MARLIN, VARIABLE, Value, cannot_read, guesses_wrong, translate
from gemma_backend.runtime.flags import Flags, refusal, wrong_value
from gemma_backend.types import EngineError, UsageError

if TYPE_CHECKING:
    from gemma_backend.checkpoint.fp4 import Fp4
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
# `--trust-request-mm-kwargs` came with 0.31; before it every request could say how its pictures are scaled.
TRUST_SINCE = (0, 31)


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """What to run: `argv` holds no secret, `env` is laid over the inherited environment and may hold the key."""

    argv: tuple[str, ...]
    env: dict[str, str]
    folders: tuple[Path, ...] = ()

    def shell(self) -> str:
        """The command for a POSIX shell, the key left out; folders that have to be there are made before."""
        words = [f"{name}={shlex.quote(value)}" for name, value in self.env.items() if name != "VLLM_API_KEY"]
        line = " ".join([*words, shlex.join(self.argv)])
        return f"mkdir -p {shlex.join(map(str, self.folders))} && {line}" if self.folders else line


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
    known: Flags | None = None,
    weights: Fp4 | None = None,
    offline: bool = True,
) -> EngineCommand:
    """Return the command that serves `checkpoint`, on `socket` or else on `host` and `port`.

    `folder` is the engine's own (temporary files and ZeroMQ sockets go there), `plugin` the folder that holds
    `gemma_in_engine`, `caches` where compiled graphs are kept. `inherited` is the environment that PYTHONPATH and
    VLLM_PLUGINS are extended from. `known` are the options of this very vLLM, where it was asked for them; `weights` is
    what the checkpoint says of its FP4 weights; `offline` keeps the engine from asking the model hub.

    UsageError for an option or a value that this vLLM does not know; EngineError for weights that it cannot read.
    """
    flags = dict(profile.flags)
    version = version_tuple(runtime.version)
    env = _environment(profile, runtime, folder, caches, offline)
    env |= _plugins(plugin, plugin_names, inherited or {})
    if runtime.device == "cuda":
        problem = cannot_read(weights, runtime.version, version)
        if problem is not None:
            raise EngineError(problem)
        if guesses_wrong(weights, version) and FLAG not in flags and VARIABLE not in env:
            flags[FLAG] = MARLIN
    # A build that tells no version is known by its options.
    translate(flags, env, version or ((0, 21) if known is not None and not known.knows(FLAG) else ()))
    if known is not None:
        _refuse(flags, known, runtime, profile)
    if key is not None:
        env["VLLM_API_KEY"] = key
    argv = [str(runtime.python), "-m", LAUNCHER if plugin is not None else SERVER]
    argv += ["--model", str(checkpoint), "--served-model-name", profile.served_name or str(checkpoint)]
    argv += ["--uds", str(socket)] if socket is not None else ["--host", host, "--port", str(port or 8000)]
    if chat_template is not None and "chat-template" not in flags:
        argv += ["--chat-template", str(chat_template)]
    if has("no-enable-log-requests", known, not version or version >= LOG_REQUESTS_SINCE):
        argv += ["--no-enable-log-requests"]
    elif has("disable-log-requests", known, True):
        argv += ["--disable-log-requests"]
    if has("disable-access-log-for-endpoints", known, not version or version >= QUIET_SINCE):
        argv += ["--disable-access-log-for-endpoints", "/health,/metrics"]
    if socket is not None and has("trust-request-mm-kwargs", known, version >= TRUST_SINCE):
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
    # As the published lines write it: 0.30.
    text = f"{value:.2f}" if isinstance(value, float) and value == round(value, 2) else str(value)
    return [f"--{name}", text]


def has(name: str, known: Flags | None, by_version: bool) -> bool:
    """Whether a vLLM has an option: by its own word where it was asked, else by what its version says."""
    return known.knows(name) if known is not None else by_version


def _refuse(flags: Mapping[str, Value], known: Flags, runtime: Runtime, profile: Profile) -> None:
    for name, value in flags.items():
        whole = f"no-{name}" if value is False else name
        if not known.knows(whole):
            raise UsageError(refusal(whole, known, runtime.version, profile.name))
        problem = wrong_value(name, value, known)
        if problem is not None:
            raise UsageError(f"Profile {profile.name}: {problem}")


def _environment(
    profile: Profile, runtime: Runtime, folder: Path | None, caches: Path | None, offline: bool
) -> dict[str, str]:
    env = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    env |= ({"HF_HUB_OFFLINE": "1"} if offline else {}) | {"PYTHONUNBUFFERED": "1"}
    if runtime.kind == "path":
        # Somebody else's environment: not even compiled modules are written into it.
        env["PYTHONDONTWRITEBYTECODE"] = "1"
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
