"""What a search found: a table, and the winner as a profile of the person's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemma_backend.config.formats import KEY, PROFILE
from gemma_backend.config.paths import config_dir, ensure
from gemma_backend.evaluate.bench.tables import NONE, gib, rate, table
from gemma_backend.evaluate.tune.knobs import Goal, worded
from gemma_backend.evaluate.tune.outcome import Outcome, allowed_drift, times, typical
from gemma_backend.evaluate.tune.trial import tuned
from gemma_backend.types import BadInput

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile

MARK = "# Written by gemma-tui tune"
HEAD = ("changes", "1 stream, tok/s", "many, tok/s", "memory, GiB", "KV, tokens", "text moved, nats", "remark")


def rows(outcomes: Sequence[Outcome], goal: Goal, tolerance: float) -> list[list[str]]:
    """A row for each configuration with the means of its trials, the best for `goal` first and failures last."""
    everything = list(outcomes)
    reference = typical(everything, (), goal)
    worked = {one.changes: one for one in outcomes if one.figures is not None}

    def figure(one: Outcome) -> float:
        return typical(everything, one.changes, goal) or 0.0

    found = []
    for one in sorted(worked.values(), key=figure, reverse=True):
        figures, count = one.figures, times(everything, one.changes)
        assert figures is not None
        remarks = []
        if one.made and reference and figure(one):
            gain = figure(one) / reference if goal != "memory" else reference / figure(one)
            remarks.append(f"{(gain - 1) * 100:+.1f}%")
        if count > 1:
            remarks.append(f"{count} trials")
        if one.made and one.drift is not None and one.drift.mean > allowed_drift(everything, tolerance):
            remarks.append("says something else")
        found.append(
            [
                worded(one.changes),
                rate(typical(everything, one.changes, "latency")),
                f"{rate(typical(everything, one.changes, 'throughput'))} ({figures.streams})",
                gib(figures.memory),
                NONE if figures.kv_tokens is None else f"{figures.kv_tokens:,}",
                NONE if one.drift is None else f"{one.drift.mean:.4f}",
                ", ".join(remarks),
            ]
        )
    failures = {one.changes: one for one in outcomes if one.figures is None and one.changes not in worked}
    return found + [[worded(made), *[NONE] * 5, f"failed: {one.failure}"] for made, one in failures.items()]


def text(outcomes: Sequence[Outcome], goal: Goal, tolerance: float) -> str:
    """The trials for a terminal: a line of figures each, and below it what was changed."""
    lines = [f"{'1 stream':>9}{'many':>14}{'GiB':>8}{'KV tokens':>12}{'moved':>9}  change"]
    for changed, single, many, memory, kv, moved, remark in rows(outcomes, goal, tolerance):
        if remark.startswith("failed"):
            lines.append(f"  {remark}")
        else:
            lines.append(f"{single:>9}{many:>14}{memory:>8}{kv:>12}{moved:>9}  {remark}")
        lines.append(f"  {changed}")
    return "\n".join(lines)


def markdown(outcomes: Sequence[Outcome], goal: Goal, tolerance: float) -> str:
    """The trials as a Markdown table."""
    return "\n".join(table(HEAD, rows(outcomes, goal, tolerance))) + "\n"


def profile_path(name: str) -> Path:
    """Where a profile of the person's own lies."""
    return config_dir() / "profiles" / f"{name}.toml"


def refuse_taken(name: str) -> None:
    """Raise BadInput where a profile of that name is one that a person wrote."""
    path = profile_path(name)
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(MARK):
        raise BadInput(f"{path} is a profile of your own: give the result another name with --name.")


def write_profile(
    profile: Profile,
    name: str,
    winner: Outcome,
    outcomes: Sequence[Outcome],
    goal: Goal,
    tolerance: float,
    made: str,
    longest: int | None = None,
) -> Path:
    """Write the winner as profile `name`, with the table of what was seen as comments; returns the file.

    For `context` its window becomes as long as the cache holds, `longest` (the checkpoint's own limit) at most.
    """
    changed = tuned(profile, winner.changes)
    values: dict[str, Any] = {KEY: PROFILE.newest, **changed.model_dump(exclude_defaults=True, exclude={"name"})}
    if goal == "context" and longest is not None and winner.figures is not None and winner.figures.kv_tokens:
        window = min(longest, winner.figures.kv_tokens)
        values["flags"] = {**values.get("flags", {}), "max-model-len": window}
    values["title"] = f"{profile.title or profile.name}, tuned for {goal}"
    values["description"] = f"{profile.name} with {worded(winner.changes)}."
    comments = [f"{MARK} on {made}, from the profile {profile.name}.", "#"]
    comments += [f"# {line}" for line in markdown(outcomes, goal, tolerance).splitlines()]
    path = profile_path(name)
    ensure(path.parent)
    try:
        path.write_text("\n".join([*comments, "", *_toml(values)]) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}.") from None
    return path


def _toml(values: dict[str, Any]) -> list[str]:
    """Plain values first, then tables."""
    lines = [f"{name} = {_value(value)}" for name, value in values.items() if not isinstance(value, dict)]
    for name, inner in values.items():
        if isinstance(inner, dict):
            lines += ["", f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in inner.items())]
    return lines


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    # TOML's basic strings have JSON's escapes, but for DEL, which JSON leaves as it is.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
