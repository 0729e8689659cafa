"""A few rounds of `make torture` on a real engine: the kinds whose like no other test has."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from random import Random

import pytest

from faults.rounds import play
from faults.torture import plan, table, tallies

# A loaded machine may take its time: what is looked at here is that nothing stays, `make torture` looks at the seconds.
PATIENCE = 120.0


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Folders of one round, with a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="gemma-") as folder:
        for name in ("STATE", "LOG", "CONFIG", "CACHE"):
            monkeypatch.setenv(f"GEMMA_TUI_{name}_DIR", f"{folder}/{name.lower()}")
        yield folder


@pytest.mark.parametrize(
    ("kind", "moment"),
    [("terminal closed", "installing"), ("one of two screens", "loading"), ("serve and keeper", "loading")],
)
def test_nothing_is_left(kind: str, moment: str) -> None:
    assert play(kind, moment, Random(os.urandom(8)), limit=PATIENCE, loading=8.0).left == []


def test_the_plan_has_every_kind_as_often_and_the_table_what_failed() -> None:
    planned = plan(["screen", "keeper"], ["installing", "serving"], 3, 1)
    assert [one[:2] for one in planned] == [(kind, number) for number in (1, 2, 3) for kind in ("screen", "keeper")]
    assert {moment for kind, _, moment in planned if kind == "keeper"} == {"serving"}
    played: list[dict[str, object]] = [
        {"kind": "screen", "number": number, "moment": moment, "seconds": 1.0 + number, "left": left}
        for number, (_, _, moment), left in zip((1, 2), planned[::2], ([], ["process 7"]), strict=False)
    ]
    assert (tallies(played)["screen"].passed, tallies(played)["screen"].slowest) == (1, 3.0)
    assert "1/2" in table(played) and "round 2" in table(played) and "process 7" in table(played)
