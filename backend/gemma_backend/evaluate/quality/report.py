"""The figures of one endpoint, or of two side by side, as rows, as text, Markdown and JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gemma_backend.evaluate.quality import figures
from gemma_backend.evaluate.quality.asking import Asked
from gemma_backend.evaluate.quality.figures import Figure
from gemma_backend.evaluate.quality.questions import Question, right

TITLES = {"questions": "questions, exact answer", "pictures": "pictures, exact answer", "clips": "clips, exact answer"}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: of the endpoint, of the one it is compared with, and of the two together where there is such a thing.

    `share` tells that it is one from 0 to 1. `note` says why a figure is missing.
    """

    name: str
    ours: Figure | None = None
    theirs: Figure | None = None
    both: Figure | None = None
    share: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was measured; `against` is the other model's name, None without one."""

    model: str
    against: str | None
    rows: tuple[Row, ...]


def report(ours: Asked, theirs: Asked | None, questions: dict[str, Sequence[Question]]) -> Report:
    """Put what was said into figures."""
    rows = [_perplexity(ours, theirs)]
    if theirs is not None:
        rows += _together(ours, theirs)
    for kind, asked in questions.items():
        rows.append(_answers(kind, asked, ours, theirs))
    return Report(ours.model, theirs.model if theirs else None, tuple(rows))


def _perplexity(ours: Asked, theirs: Asked | None) -> Row:
    note = ours.missing.get("texts", "") or (theirs.missing.get("texts", "") if theirs else "")
    mine = figures.perplexity(ours.texts) if ours.texts else None
    other = figures.perplexity(theirs.texts) if theirs and theirs.texts else None
    ratio = None
    if mine and other and theirs and figures.same_tokens(ours.texts, theirs.texts):
        ratio = figures.perplexity_ratio(ours.texts, theirs.texts)
    return Row("perplexity", mine, other, ratio, note=note)


def _together(ours: Asked, theirs: Asked) -> list[Row]:
    names = ("greedy agreement", "KL divergence, nats a token")
    if not (ours.texts and theirs.texts):
        return [Row(name, note="needs log-probabilities of both") for name in names]
    if not figures.same_tokens(ours.texts, theirs.texts):
        return [Row(name, note="the two have different tokenizers") for name in names]
    return [
        Row(names[0], both=figures.agreement(ours.texts, theirs.texts), share=True),
        Row(names[1], both=figures.divergence(ours.texts, theirs.texts)),
    ]


def _answers(kind: str, asked: Sequence[Question], ours: Asked, theirs: Asked | None) -> Row:
    def share(one: Asked | None) -> Figure | None:
        if one is None or kind not in one.said:
            return None
        return figures.wilson(sum(map(right, asked, one.said[kind])), len(asked))

    note = ours.missing.get(kind, "") or (theirs.missing.get(kind, "") if theirs else "")
    same = None
    if theirs is not None and kind in ours.said and kind in theirs.said:
        pairs = zip(ours.said[kind], theirs.said[kind], strict=True)
        same = figures.wilson(sum(one == other for one, other in pairs), len(asked))
    return Row(TITLES.get(kind, kind), share(ours), share(theirs), same, share=True, note=note)


def table(report: Report) -> list[list[str]]:
    """The report as cells, the first row its heading."""
    heads = ["", report.model]
    heads += [report.against, "the two together"] if report.against else []
    rows = [heads]
    for row in report.rows:
        cells = [row.name, _cell(row.ours, row.share)]
        if report.against:
            cells += [_cell(row.theirs, row.share), _cell(row.both, row.share, _meaning(row))]
        if row.note:
            cells[-1] = f"{cells[-1]} {row.note}".strip(" -")
        rows.append(cells)
    return rows


def markdown(report: Report) -> str:
    """The report as a table for a model card."""
    rows = table(report)
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "| --- " + "| ---: " * (len(rows[0]) - 1) + "|")
    return "\n".join(lines)


def as_json(report: Report) -> dict[str, Any]:
    """The report as data."""
    return dataclasses.asdict(report)


def _meaning(row: Row) -> str:
    if row.name == "perplexity":
        return "ratio "
    return "same answer " if row.ours is not None else ""


def _cell(figure: Figure | None, share: bool, before: str = "") -> str:
    if figure is None:
        return "-"
    if share:
        return f"{before}{figure.value:.1%} ({figure.low:.1%} to {figure.high:.1%})"
    return f"{before}{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})"
