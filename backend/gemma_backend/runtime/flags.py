"""The options that one vLLM knows: read once from its own `--help`, and kept.

Asking takes as long as vLLM's imports do, so it is done when a runtime is installed or checked, and before a start only
where a profile uses an option that is not in every release.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gemma_backend.config import paths
from gemma_backend.config.nearest import nearest
from gemma_backend.runtime.container import in_image
from gemma_backend.runtime.found import Runtime
from gemma_backend.runtime.plugin import LAUNCHER, write_plugin_folder

FORMAT = 1
SECONDS = 300.0
SERVER = "vllm.entrypoints.openai.api_server"
# In vLLM 0.19 to 0.33 (vllm/engine/arg_utils.py and vllm/entrypoints/openai/cli_args.py), and older ones; what the
# shipped profiles use.
ALWAYS = frozenset(
    {
        "model",
        "served-model-name",
        "host",
        "port",
        "chat-template",
        "trust-remote-code",
        "quantization",
        "dtype",
        "kv-cache-dtype",
        "kv-cache-memory-bytes",
        "gpu-memory-utilization",
        "max-model-len",
        "max-num-seqs",
        "max-num-batched-tokens",
        "enforce-eager",
        "limit-mm-per-prompt",
        "tokenizer",
        "load-format",
        "seed",
        "structured-outputs-config",
    }
)
# Read under another name by the command builder, where a release has no such option.
TRANSLATED = frozenset({"linear-backend"})
# The line that begins an option's paragraph: two spaces, then its spellings.
_OPTION = re.compile(r"^ {2}(-{1,2}[A-Za-z].*)$", re.MULTILINE)
_SPELLING = re.compile(r"(?<![\w-])--([A-Za-z][\w.-]*)")
_CHOICES = re.compile(r"--(?P<name>[A-Za-z][\w-]*) \{(?P<choices>[^{}]+)\}(?=$|,| {2,})")


@dataclass(frozen=True, slots=True)
class Flags:
    """Long options without their dashes, and the values of those that take only some."""

    names: frozenset[str]
    choices: dict[str, tuple[str, ...]]

    def knows(self, name: str) -> bool:
        """Whether this vLLM has the option `name`; `_` and `-` are one, and a dot leads into a JSON value."""
        return spelled(name) in self.names


def spelled(name: str) -> str:
    """An option's name as vLLM's own parser compares it: `hf_overrides.rope_scaling` is `hf-overrides`."""
    return name.partition(".")[0].replace("_", "-")


def parse(text: str) -> Flags:
    """Read the output of `--help`; options that only a description mentions are not taken for options."""
    names: set[str] = set()
    choices: dict[str, tuple[str, ...]] = {}
    for match in _OPTION.finditer(text):
        # Two spaces end the spellings and begin the description, where it stands on the same line.
        line = re.split(r" {2,}", match[1], maxsplit=1)[0]
        names |= {spelled(name) for name in _SPELLING.findall(re.sub(r"\{[^{}]*\}", "{}", line))}
        for found in _CHOICES.finditer(match[1]):
            choices[spelled(found["name"])] = tuple(found["choices"].split(","))
    return Flags(frozenset(names), choices)


def known(runtime: Runtime) -> Flags | None:
    """What is kept of `runtime`, None where it was never asked or has changed since."""
    try:
        data = json.loads(_cache(runtime).read_text("utf-8"))
        if data["format_version"] != FORMAT:
            return None
        return Flags(frozenset(data["names"]), {name: tuple(values) for name, values in data["choices"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def read(runtime: Runtime) -> Flags | None:
    """The options of `runtime`, asked of it where they are not kept; takes up to a minute then.

    None where it does not answer: what is wrong with it is for a start to say.
    """
    found = known(runtime)
    if found is not None:
        return found
    for word in ("--help=all", "--help"):
        found = parse(_ask(runtime, word))
        # Releases that group their options name only the groups without `=all`, and older ones know no `=all`.
        if {"model", "max-model-len"} <= found.names:
            _keep(runtime, found)
            return found
    return None


def unknown(names: Iterable[str], flags: Flags | None) -> list[str]:
    """Those of `names` that `flags` has not; without `flags` those that not every release has."""
    there = ALWAYS if flags is None else flags.names
    return [name for name in names if spelled(name) not in there and spelled(name) not in TRANSLATED]


def refusal(name: str, flags: Flags, version: str, profile: str) -> str:
    """The sentence for an option that a vLLM does not know, with the nearest that it knows."""
    guess = nearest(spelled(name), sorted(flags.names))
    hint = f"did you mean --{guess}?" if guess else "`vllm serve --help=all` lists those it knows."
    return f"vLLM {version} knows no option --{spelled(name)}, which profile {profile} sets; {hint}"


def wrong_value(name: str, value: object, flags: Flags) -> str | None:
    """The sentence for a value that an option does not take, None where it takes it as far as is known."""
    allowed = flags.choices.get(spelled(name))
    if allowed is None or str(value) in allowed or isinstance(value, bool):
        return None
    # vLLM takes `-` for `_` in the names of backends.
    if str(value).replace("-", "_") in allowed:
        return None
    guess = nearest(str(value), allowed)
    hint = f"did you mean {guess}?" if guess else f"it takes {', '.join(allowed)}."
    return f"--{spelled(name)} does not take {value!r}; {hint}"


def _ask(runtime: Runtime, word: str) -> str:
    plugin = str(write_plugin_folder())
    arguments = ["-m", LAUNCHER if runtime.device == "cpu" and runtime.image is None else SERVER, word]
    env = dict(os.environ) | {"COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1", "VLLM_NO_USAGE_STATS": "1"}
    if runtime.image is not None:
        command = [runtime.image.tool, *in_image(runtime.image, arguments)]
    else:
        command = [str(runtime.python), *arguments]
        env["PYTHONPATH"] = plugin
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False, cwd="/", env=env
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _keep(runtime: Runtime, flags: Flags) -> None:
    data = {"format_version": FORMAT, "names": sorted(flags.names), "choices": flags.choices}
    try:
        path = _cache(runtime)
        paths.ensure(path.parent)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_text(json.dumps(data) + "\n", "utf-8")
        aside.replace(path)
    except OSError:
        # What cannot be kept is asked again.
        return


def _cache(runtime: Runtime) -> Path:
    """The file of one runtime in one state: another version, or packages that were changed, give another."""
    if runtime.image is not None:
        mark = runtime.image.id
    else:
        sites = sorted(runtime.path.glob("lib/python3*/site-packages"))
        changed = max((site.stat().st_mtime_ns for site in sites), default=0)
        mark = f"{runtime.python} {changed}"
    digest = hashlib.sha256(f"{mark} {runtime.version}".encode()).hexdigest()[:16]
    return paths.cache_dir() / "flags" / f"{digest}.json"
