"""One way in which engines fail, and its sentence filled with what a log says."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """One way to fail.

    `patterns` are searched in an exception's type and message; with `anywhere` also in lines outside tracebacks. With
    `frames` only an exception counts whose traceback shows this, which tells the same message of two places apart.
    Named groups fill the places of the same name in `sentence` and `advice`; a clause whose group took no part goes.
    A cause in `unless` that is found anywhere in the same start is the better answer. A `general` one is taken where no
    exception of the same chain shows another.
    """

    name: str
    patterns: tuple[re.Pattern[str], ...]
    sentence: str
    advice: str
    anywhere: bool = False
    unless: tuple[str, ...] = ()
    frames: re.Pattern[str] | None = None
    general: bool = False

    def search(self, text: str, frames: str = "") -> re.Match[str] | None:
        """What of `text`, raised where `frames` say, shows this cause; None where nothing does."""
        if self.frames is not None and not self.frames.search(frames):
            return None
        return next((found for pattern in self.patterns if (found := pattern.search(text))), None)


def cause(
    name: str,
    patterns: list[str],
    sentence: str,
    advice: str,
    anywhere: bool = False,
    unless: tuple[str, ...] = (),
    frames: str | None = None,
    general: bool = False,
) -> Cause:
    """An entry of the table, its patterns compiled; a dot in them stands for a line end too."""
    compiled = tuple(re.compile(one, re.DOTALL) for one in patterns)
    return Cause(name, compiled, sentence, advice, anywhere, unless, re.compile(frames) if frames else None, general)


def filled(cause: Cause, found: re.Match[str], known: dict[str, str] | None = None) -> tuple[str, str]:
    """The sentence and the advice of `cause`, with what `found` caught or `known` holds; a clause without one goes."""
    values = dict(known or {}) | {key.rstrip("2"): value for key, value in found.groupdict().items() if value}
    return _fill(cause.sentence, values), _fill(cause.advice, values)


def _fill(template: str, values: dict[str, str]) -> str:
    text = template
    for name in re.findall(r"\{(\w+)\}", template):
        value = " ".join(values.get(name, "").split())[:160].rstrip(".")
        value = re.sub(r"<function \w+ at 0x[0-9a-f]+>", "what is wanted", re.sub(r"^(\d+)\.0$", r"\1", value))
        text = text.replace("{" + name + "}", value or "\0")
    if "\0" not in text:
        return text
    # Without the figure a clause has nothing to say: a bracket goes, and so does what stands behind the colon.
    text = re.sub(r" \([^()]*\0[^()]*\)", "", text)
    text = text.replace("Set max-model-len to \0 or less", "Lower max-model-len")
    text = text.replace("Port \0", "The port").replace("max-model-len \0", "max-model-len")
    text = re.sub(r": [^:]*\0[^:]*$", ".", text)
    return text.replace("\0", "it")
