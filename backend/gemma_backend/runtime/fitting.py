"""Whether the packages of a runtime fit each other: what they ask for, and the pairs that install but fail.

Sources: the wheels' own metadata; for the pairs, vLLM's issues (52768, 51744, 50957) and what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gemma_backend.runtime.packages import Packages

# Without these no engine starts; what else vLLM asks for may be missing on purpose, as torchcodec is on a CPU.
NEEDED = ("torch", "torchvision", "transformers", "tokenizers", "safetensors")
# Whose range is held against what is installed; a person may have changed others on purpose, and they work.
HELD = ("torch", "transformers", "tokenizers", "huggingface-hub", "safetensors")


@dataclass(frozen=True, slots=True)
class Misfit:
    """One thing that does not fit: what it is, what to do, and whether an engine cannot start with it."""

    text: str
    advice: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class Pair:
    """vLLM releases that fail with releases of another package although both install."""

    vllm: str
    package: str
    releases: str
    why: str
    advice: str
    fatal: bool = True


_INSTALL = "Install a runtime whose versions belong together: gemma-tui engine install"
PAIRS = (
    Pair("<0.19", "vllm", ">=0", "knows no Gemma 4; 0.19.1 was the first to serve it", _INSTALL),
    Pair(
        ">=0.19,<0.28",
        "transformers",
        ">=5.15",
        "dies with AmbiguousGlobalPerLayerAttributeError (vLLM issue 52768)",
        "Install transformers 5.14.1 for 0.27, 5.10.4 with tokenizers 0.22.2 for 0.26, or vLLM 0.28 or newer.",
    ),
    Pair(
        ">=0.19,<0.28",
        "transformers",
        "<5.5.1",
        "cannot read Gemma 4 with it; 0.19.0 even asks for an older one",
        "Install transformers 5.5.1 or newer, below 5.15.",
    ),
    Pair(
        "<0.28",
        "vllm",
        ">=0",
        "dies on two clips of different length in one batch (vLLM issue 50957)",
        "Send one clip at a time, or use vLLM 0.28 or newer.",
        fatal=False,
    ),
)


def misfits(found: Packages) -> list[Misfit]:
    """Everything that does not fit in `found`, the fatal first; pure."""
    told = [*_missing(found), *_outside(found), *_pairs(found), *_torchvision(found)]
    return sorted(told, key=lambda one: not one.fatal)


def _missing(found: Packages) -> list[Misfit]:
    if not found.vllm:
        return [Misfit("vLLM is not installed", _INSTALL)]
    lacking = [name for name in NEEDED if name not in found.versions]
    return [Misfit(f"vLLM {found.vllm} lacks {', '.join(lacking)}", _INSTALL)] if lacking else []


def _outside(found: Packages) -> list[Misfit]:
    """Packages whose version is not in the range that vLLM or transformers asks for."""
    told = []
    asking = {"vllm": f"vLLM {found.vllm}", "transformers": f"transformers {found.versions.get('transformers', '')}"}
    for owner, who in asking.items():
        for line in found.requires.get(owner, ()):
            wanted = _requirement(line, found.python)
            if wanted is None:
                continue
            name = canonicalize_name(wanted.name)
            have = found.versions.get(name)
            if name in HELD and have is not None and not _within(have, wanted.specifier):
                told.append(
                    Misfit(
                        f"{who} accepts {name} {_ordered(wanted.specifier)}, and {have} is installed",
                        f"Install a {name} in that range in the runtime's environment, or another runtime: "
                        "gemma-tui engine install",
                    )
                )
    return told


def _pairs(found: Packages) -> list[Misfit]:
    told = []
    for pair in PAIRS:
        have = found.vllm if pair.package == "vllm" else found.versions.get(pair.package)
        if found.vllm and have and _within(found.vllm, pair.vllm) and _within(have, pair.releases):
            beside = "" if pair.package == "vllm" else f" beside {pair.package} {have}"
            told.append(Misfit(f"vLLM {found.vllm}{beside} {pair.why}", pair.advice, pair.fatal))
            if pair.fatal and pair.package == "vllm":
                # What a vLLM without Gemma 4 does with clips is no news.
                break
    return told


def _torchvision(found: Packages) -> list[Misfit]:
    """torchvision 0.N belongs to torch 2.(N-15), since 0.15; any other cannot register its operators."""
    torch, vision = found.versions.get("torch"), found.versions.get("torchvision")
    if not torch or not vision:
        return []
    try:
        parts = Version(torch).release, Version(vision).release
    except InvalidVersion:
        return []
    if parts[0][0] != 2 or parts[1][0] != 0 or len(parts[0]) < 2 or len(parts[1]) < 2:
        return []
    if parts[1][1] == parts[0][1] + 15:
        return []
    return [
        Misfit(
            f"torchvision {vision} was built for torch 2.{parts[1][1] - 15}, and {torch} is installed",
            f"Install torchvision 0.{parts[0][1] + 15} in the runtime's environment.",
        )
    ]


def _requirement(line: str, python: str) -> Requirement | None:
    """The requirement, None where it is not for this Python or cannot be read."""
    try:
        wanted = Requirement(line)
    except InvalidRequirement:
        return None
    if wanted.marker is None:
        return wanted
    version = {"python_version": ".".join(python.split(".")[:2]), "python_full_version": python} if python else {}
    return wanted if wanted.marker.evaluate({"extra": "", **version}) else None


def _within(version: str, releases: SpecifierSet | str) -> bool:
    specifier = SpecifierSet(releases) if isinstance(releases, str) else releases
    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True


def _ordered(specifier: SpecifierSet) -> str:
    """A range with its lower bound first."""
    return ",".join(sorted(map(str, specifier), key=lambda one: (not one.startswith((">", "=", "~")), one)))
