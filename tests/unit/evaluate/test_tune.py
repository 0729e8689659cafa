"""The search on machines that are made up, its journal, and what it writes; a real engine is in tests/engine."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import random
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemma_backend.config.profiles import Profile, load_profile
from gemma_backend.evaluate.tune import drift, knobs, result, tracing, trial
from gemma_backend.evaluate.tune.journal import Head, Journal
from gemma_backend.evaluate.tune.knobs import Changes, Knob, knobs_for, worded
from gemma_backend.evaluate.tune.knobs import given as given_knob
from gemma_backend.evaluate.tune.outcome import Drift, Figures, Outcome, baseline_of, best_of, eligible
from gemma_backend.evaluate.tune.search import Search, Step
from gemma_backend.types import BadInput

GRID = (
    Knob("a", (1, 2), expected={"latency": 0.1}),
    Knob("b", (True,)),
    Knob("c", ("x", "y", "z"), compiles=True),
    Knob("d", (4,), expected={"latency": -0.1}),
)


def search(grid: tuple[Knob, ...] = GRID, tolerance: float = 0.05) -> Search:
    return Search(grid, "latency", {}, device="cuda", tolerance=tolerance, measuring=10.0)


class Machine:
    """A made-up machine: factors of single changes, of pairs, and changes that fail."""

    def __init__(
        self, seed: int, *, together: float = 0.02, noise: float = 0.002, broken: frozenset[str] = frozenset()
    ):
        self._chance = random.Random(seed)
        self._noise, self._broken = noise, broken
        self._one: dict[tuple[str, object], float] = {}
        self._two: dict[tuple[tuple[str, object], tuple[str, object]], float] = {}
        self._together = together
        self.compiled: set[Changes] = set()

    def true(self, made: Changes) -> float:
        score = sum(self._one.setdefault(one, self._chance.gauss(0.0, 0.08)) for one in made)
        for pair in itertools.combinations(made, 2):
            score += self._two.setdefault(pair, self._chance.gauss(0.0, self._together))
        return 100.0 * math.exp(score)

    def run(self, made: Changes) -> Outcome:
        if any(name in self._broken for name, _ in made):
            return Outcome(dict(made), failure="it does not know that flag", seconds=20.0)
        group = tuple(one for one in made if one[0] == "c")
        start = 60.0 if group in self.compiled else 150.0
        self.compiled.add(group)
        rate = self.true(made) * math.exp(self._chance.gauss(0.0, self._noise))
        return Outcome(dict(made), Figures(rate, rate * 8, 8), start=start, seconds=start + 10)


def explored(machine: Machine, wanted: Search, budget: float = math.inf) -> list[Outcome]:
    outcomes: list[Outcome] = []
    spent = 0.0
    while (step := wanted.next(outcomes, budget - spent)) is not None:
        outcomes.append(machine.run(step.made))
        spent += outcomes[-1].seconds
        assert spent <= budget + 150
    return outcomes


def everything() -> list[Changes]:
    options = [[None, *((knob.name, value) for value in knob.values)] for knob in GRID]
    return [tuple(one for one in chosen if one is not None) for chosen in itertools.product(*options)]


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_with_time_enough_the_best_of_all_is_found(seed: int) -> None:
    machine = Machine(seed)
    outcomes = explored(machine, search())
    best = best_of(outcomes, "latency", 0.05)
    assert best is not None
    found, true = machine.true(best.changes), max(machine.true(made) for made in everything())
    # What is not expected to bring anything may stay untried, and measurements are noisy.
    assert found >= true * 0.98


def test_the_best_of_a_grid_by_hand_is_matched_in_half_its_trials() -> None:
    """A grid of all 48 configurations by hand takes 48 trials; this search has time for some 17."""
    shares = []
    for seed in range(40):
        machine = Machine(seed)
        outcomes = explored(machine, search(), budget=20 * 80.0)
        assert len(outcomes) <= 24
        best = best_of(outcomes, "latency", 0.05)
        assert best is not None
        shares.append(machine.true(best.changes) / max(machine.true(made) for made in everything()))
    assert sum(share > 0.98 for share in shares) >= 39


def test_the_baseline_comes_first_and_alone() -> None:
    step = search().next([], 1000.0)
    assert step == Step((), 0.0, 210.0)


def test_what_shares_compiled_graphs_is_tried_together() -> None:
    """Where nothing is known of either, the change that needs no new graph comes first."""
    same, anew = Knob("same", (1,)), Knob("anew", (1,), compiles=True)
    wanted = Search((anew, same), "latency", {}, device="cuda", tolerance=0.05, measuring=10.0)
    first = wanted.next([Machine(1).run(())], 1e6)
    assert first is not None
    assert first.made == (("same", 1),)
    assert first.seconds < 210


def test_nothing_is_begun_that_does_not_fit_into_the_time() -> None:
    outcomes = [Machine(1).run(())]
    assert search().next(outcomes, 30.0) is None
    fitting = search().next(outcomes, 165.0)
    assert fitting is not None
    assert fitting.seconds <= 165


def test_what_failed_is_never_tried_again_and_said_why() -> None:
    machine = Machine(3, broken=frozenset({"b", "c"}))
    outcomes = explored(machine, search())
    failures = [one for one in outcomes if one.figures is None]
    # Each of the four broken changes fails alone at most once, and never again in company.
    alone = [one.changes for one in failures if len(one.made) == 1]
    assert len(alone) == len(set(alone)) == 4
    assert len(failures) <= 8
    assert all(one.failure for one in failures)
    best = best_of(outcomes, "latency", 0.05)
    assert best is not None
    assert not {"b", "c"} & set(best.made)


def test_a_change_of_what_is_said_does_not_win() -> None:
    base = Outcome({}, Figures(100, 800, 8))
    other = Outcome({"a": 1}, Figures(300, 2400, 8), drift=Drift(0.2, 1.0, 50))
    same = Outcome({"a": 2}, Figures(120, 960, 8), drift=Drift(0.001, 0.01, 50))
    assert best_of([base, other, same], "latency", 0.05) == same
    assert best_of([base, other, same], "latency", 0.5) == other
    step = search().next([base, other, same], 1e6)
    assert step is not None
    assert ("a", 1) not in step.made


def test_what_two_starts_differ_by_is_no_change_of_what_is_said() -> None:
    base = Outcome({}, Figures(100, 800, 8))
    other = Outcome({"a": 1}, Figures(130, 900, 8), drift=Drift(0.4, 1.8, 773))
    again = Outcome({}, Figures(101, 800, 8), drift=Drift(0.3, 1.5, 773))
    assert best_of([base, other], "latency", 0.1) == base
    assert best_of([base, other, again], "latency", 0.1) == other
    assert "says something else" not in result.rows([base, other, again], "latency", 0.1)[0][-1]


def test_memory_is_not_bought_with_speed() -> None:
    base = Outcome({}, Figures(100, 800, 8, memory=10 << 30, kv_tokens=1000))
    slow = Outcome({"a": 1}, Figures(50, 400, 8, memory=4 << 30, kv_tokens=9000))
    fair = Outcome({"a": 2}, Figures(95, 700, 8, memory=8 << 30, kv_tokens=2000))
    assert not eligible(slow, "memory", base, 0.05)
    for goal in ("memory", "context"):
        assert best_of([base, slow, fair], goal, 0.05) == fair
    assert best_of([base, slow, fair], "throughput", 0.05) == base


def test_one_lucky_measurement_counts_half_after_a_second() -> None:
    base = Outcome({}, Figures(100, 800, 8))
    lucky = Outcome({"a": 1}, Figures(110, 800, 8))
    sober = Outcome({"a": 1}, Figures(100, 800, 8))
    steady = Outcome({"a": 2}, Figures(107, 800, 8))
    assert best_of([base, lucky, steady], "latency", 0.05) == lucky
    assert best_of([base, lucky, steady, sober], "latency", 0.05) == steady
    rows = result.rows([base, lucky, steady, sober], "latency", 0.05)
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("--a 2", "107.0", "+7.0%"), ("--a 1", "105.0", "+5.0%, 2 trials"), ("as it is", "100.0", "")
    ]  # fmt: skip


def test_knobs_are_those_of_device_goal_and_release() -> None:
    cpu = {knob.name for knob in knobs_for("latency", "cpu", (0, 32))}
    assert "env:VLLM_CPU_OMP_THREADS_BIND" in cpu
    assert not {"attention-backend", "gpu-memory-utilization"} & cpu
    assert "linear-backend" not in {knob.name for knob in knobs_for("latency", "cuda", (0, 20))}
    assert "linear-backend" in {knob.name for knob in knobs_for("latency", "cuda", ())}
    with_drafter = knobs_for("latency", "cuda", (0, 32), drafters=["g/assistant"])
    assert any('"mtp"' in str(value) and "g/assistant" in str(value) for knob in with_drafter for value in knob.values)
    named = {knob.name for goal in knobs.GOALS for knob in knobs_for(goal, "cuda", (0, 33))}
    # What the program's own documentation says is searched.
    assert named >= {
        "gpu-memory-utilization", "max-num-seqs", "max-num-batched-tokens", "kv-cache-dtype", "attention-backend",
        "linear-backend", "compilation-config", "max-cudagraph-capture-size", "async-scheduling",
        "enable-prefix-caching", "enable-chunked-prefill", "speculative-config",
    }  # fmt: skip


def test_a_knob_as_a_person_writes_it() -> None:
    assert given_knob("max-num-seqs=8;64").values == (8, 64)
    assert given_knob("--enforce-eager=true;default").values == (True, None)
    assert given_knob('speculative-config={"method": "ngram"}').values == ('{"method": "ngram"}',)
    assert given_knob("env:VLLM_X=0;1").name == "env:VLLM_X"
    assert not given_knob("stream-interval=8").compiles
    assert given_knob("max-model-len=4096").compiles
    for wrong in ("max-num-seqs", "=8", "a b=1"):
        with pytest.raises(ValueError, match="is no NAME=VALUE"):
            given_knob(wrong)


def test_changes_are_worded_as_they_would_be_typed() -> None:
    made = knobs.changes({"b": True, "a": 8, "c": False, "d": None, "env:X": "1"})
    assert worded(made) == "--a 8 --b --no-c --d (default) X=1"
    assert worded(()) == "as it is"


def test_a_tuned_profile_has_the_changes_and_a_name_that_nobody_looks_for() -> None:
    profile = Profile(name="p", checkpoint="x", flags={"a": 1, "b": 2}, environment={"X": "0"})
    changed = trial.tuned(profile, knobs.changes({"a": 8, "b": None, "env:X": "1", "env:Y": None}))
    assert changed.flags == {"a": 8}
    assert changed.environment == {"X": "1"}
    assert changed.name == "tune.p"
    assert profile.flags == {"a": 1, "b": 2}


HEAD = Head("p", {"a": 1}, {}, "/c", "0.32.0", (), 2, {"streams": 8})


def outcome(seed: int) -> Outcome:
    return Outcome(
        {"a": seed, "b": None, "c": True}, Figures(1.0, 2.0, 8, memory=seed), drift=Drift(0.1, 0.2, 3), start=1.5
    )


def test_a_journal_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "j.jsonl"
    journal = Journal.opened(path, HEAD)
    assert not journal.resumed
    for seed in range(3):
        journal.add(outcome(seed))
    whole = path.read_bytes()
    # The machine went down in the middle of a line.
    path.write_bytes(whole[:-20])
    again = Journal.opened(path, HEAD)
    assert again.resumed
    assert again.outcomes == [outcome(0), outcome(1)]
    again.add(outcome(2))
    assert Journal.opened(path, HEAD).outcomes == [outcome(seed) for seed in range(3)]


def test_a_journal_of_another_machine_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    Journal.opened(path, HEAD).add(outcome(1))
    kept = path.read_bytes()
    other = Head("p", {"a": 1}, {}, "/c", "0.33.0", (), 2, {"streams": 8})
    assert Journal.opened(path, other).outcomes == []
    assert path.with_name("j.jsonl.old").read_bytes() == kept
    path.write_text("no journal")
    assert Journal.opened(path, other).outcomes == []
    Journal.opened(path, other).add(outcome(1))
    assert Journal.opened(path, other, fresh=True).outcomes == []
    with pytest.raises(BadInput, match="cannot be written"):
        Journal.opened(Path("/proc/nowhere/j.jsonl"), HEAD)


def test_a_resumed_search_goes_the_same_way() -> None:
    """What comes next follows from the trials alone."""
    machine = Machine(5)
    outcomes = explored(machine, search())
    for count in range(1, len(outcomes)):
        step = search().next(outcomes[:count], math.inf)
        assert step is not None
        assert step.made == outcomes[count].changes


def test_log_probabilities_are_read_and_compared_by_hand() -> None:
    entries = [None, {"12": {"logprob": -1.5, "rank": 1}}, {"7": {"logprob": -0.25, "rank": 1}}]
    body = json.dumps({"choices": [{"prompt_logprobs": entries}]}).encode()
    assert drift.read_logprobs(body) == [-1.5, -0.25]
    for wrong in (b"", b"{}", b'{"choices": [{"prompt_logprobs": null}]}', b'{"choices": [{"prompt_logprobs": [{}]}]}'):
        assert drift.read_logprobs(wrong) == []
    assert drift.drift((-1.0, -2.0), (-1.5, -2.0)) == Drift(0.25, 0.5, 2, -0.25)
    assert drift.drift((), ()) is None
    assert drift.drift((-1.0,), (-1.0, -2.0)) is None


def kernel(start: float, length: float, name: str, kind: str = "kernel") -> dict[str, object]:
    return {"ph": "X", "cat": kind, "name": name, "ts": start, "dur": length}


def test_a_trace_is_summed_up_by_hand(tmp_path: Path) -> None:
    events = [
        kernel(0, 10, "void marlin::Marlin<float, 4>(int, float*)"),
        kernel(5, 10, "void marlin::Marlin<half, 2>(int)"),
        kernel(30, 20, "triton_red_fused_add"),
        kernel(0, 2, "cudaGraphLaunch", "cuda_runtime"),
        kernel(0, 500, "python", "python_function"),
        {"ph": "M", "name": "process_name"},
        "nonsense",
    ]
    trace = tracing.summed_up(events)
    assert trace is not None
    assert trace.seconds == pytest.approx(50e-6)
    assert trace.busy == pytest.approx(35e-6)
    assert (trace.kernels, trace.launches) == (3, 1)
    assert trace.shares == (
        ("marlin::Marlin", pytest.approx(20e-6), 2),
        ("triton_red_fused_add", pytest.approx(20e-6), 1),
    )
    assert "of which the device works 0.03 ms (70%)" in trace.worded("one stream", 1)[0]
    path = tmp_path / "t.pt.trace.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"traceEvents": events}).encode()))
    assert tracing.read(path) == trace
    path.write_bytes(b"\x1f\x8bnot gzip")
    assert tracing.read(path) is None
    assert tracing.summed_up([]) is None


def test_without_a_gpu_operators_count_and_nested_ones_once() -> None:
    events = [
        kernel(0, 100, "aten::linear", "cpu_op"),
        kernel(10, 50, "aten::mm", "cpu_op"),
        kernel(120, 10, "aten::add", "cpu_op"),
    ]
    trace = tracing.summed_up(events)
    assert trace is not None
    assert trace.busy == pytest.approx(110e-6)
    assert [name for name, _, _ in trace.shares] == ["aten::linear", "aten::add"]


def test_the_winner_is_written_as_a_profile_with_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMA_TUI_CONFIG_DIR", str(tmp_path))
    profile = load_profile("workstation")
    base = Outcome({}, Figures(272.8, 9847, 64, memory=8 << 30, kv_tokens=900_000))
    spec = knobs.ngram(4)
    winner = Outcome(
        {"speculative-config": spec, "env:X": 'a"b\\c', "kv-cache-dtype": None},
        Figures(400, 9000, 64, kv_tokens=500_000),
    )
    failed = Outcome({"linear-backend": "cutlass"}, failure="No kernel | for it.")
    path = result.write_profile(profile, "fast", winner, [base, winner, failed], "latency", 0.05, "2026-11-25")
    back = load_profile("fast")
    assert back.flags["speculative-config"] == spec
    assert "kv-cache-dtype" not in back.flags
    assert back.flags["max-model-len"] == profile.flags["max-model-len"]
    assert back.environment["X"] == 'a"b\\c'
    assert back.checkpoint == profile.checkpoint
    assert tomllib.loads(path.read_text())["title"].endswith("tuned for latency")
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any("+46.6%" in line for line in comments)
    assert any("failed: No kernel" in line for line in comments)
    result.refuse_taken("fast")
    longer = result.write_profile(profile, "long", winner, [base, winner], "context", 0.05, "2026-11-25", 131_072)
    assert tomllib.loads(longer.read_text())["flags"]["max-model-len"] == 131_072
    (tmp_path / "profiles" / "mine.toml").write_text('title = "mine"')
    with pytest.raises(BadInput, match="profile of your own"):
        result.refuse_taken("mine")


def test_the_table_puts_the_best_first_and_failures_last() -> None:
    base = Outcome({}, Figures(100, 800, 8))
    better = Outcome({"a": 1}, Figures(120, 700, 8), drift=Drift(0.2, 0.3, 9))
    failed = Outcome({"b": True}, failure="It broke.")
    rows = result.rows([base, failed, better], "latency", 0.05)
    assert [row[0] for row in rows] == ["--a 1", "as it is", "--b"]
    assert rows[0][-1] == "+20.0%, says something else"
    assert rows[-1][-1] == "failed: It broke."
    assert baseline_of([better, base]) == base
    assert result.text([base, failed, better], "latency", 0.05).count("\n") == 6
