"""Figures, questions and the command of `gemma-tui eval`, on values and on small servers."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_assets import path as asset
from gemma_backend.evaluate.quality import figures, harness
from gemma_backend.evaluate.quality.figures import Place
from gemma_backend.evaluate.quality.questions import read_questions, read_texts, right
from gemma_backend.quantize.card import with_evaluation
from gemma_backend.types import AudioPart, BadInput, Endpoint, ImagePart, UsageError
from gemma_tui.cli.main import main


def text(*logprobs: float, best: int = 0) -> tuple[Place, ...]:
    """Places whose own token is 0; `best` is the likeliest."""
    return tuple(Place(0, value, {0: value, best: -0.01} if best else {0: value}) for value in logprobs)


def test_perplexity_is_the_exponential_of_the_mean_surprise() -> None:
    found = figures.perplexity([text(-1.0, -3.0), text(-2.0)])
    assert found.value == pytest.approx(math.exp(2))
    assert found.low <= found.value <= found.high
    assert found.count == 3


def test_a_ratio_is_of_the_same_texts() -> None:
    ours, theirs = [text(-1.5), text(-2.5)], [text(-1.0), text(-2.0)]
    found = figures.perplexity_ratio(ours, theirs)
    assert (found.value, found.low, found.high) == pytest.approx((math.exp(0.5),) * 3)


def test_agreement_is_of_the_likeliest_tokens() -> None:
    found = figures.agreement([text(-0.5, -0.5), text(-0.5, best=7)], [text(-0.5, -0.4), text(-0.5)])
    assert found.value == pytest.approx(2 / 3)


@given(st.lists(st.floats(-8, -0.01), min_size=1, max_size=12))
def test_a_distribution_does_not_diverge_from_itself(values: list[float]) -> None:
    sums = sum(map(math.exp, values))
    table = {token: value - math.log(sums) - 0.01 for token, value in enumerate(values)}
    assert figures.kl(table, table) == pytest.approx(0, abs=1e-6)


def test_divergence_is_that_of_the_definition() -> None:
    one, other = {1: math.log(0.5), 2: math.log(0.5)}, {1: math.log(0.25), 2: math.log(0.75)}
    assert figures.kl(one, other) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), abs=1e-6)


@given(st.integers(1, 500), st.data())
def test_an_interval_holds_its_share(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    found = figures.wilson(hits, count)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


def test_the_set_that_ships_is_whole() -> None:
    folder = asset("evaluation")
    assert len(read_texts(folder / "stories.txt")) >= 40
    for name, kind in (("pictures", ImagePart), ("clips", AudioPart)):
        found = read_questions(folder / f"{name}.jsonl")
        assert len(found) >= 20
        assert all(isinstance(question.parts[0], kind) for question in found)
    assert len(read_questions(folder / "questions.jsonl")) >= 40


def test_exact_match_leaves_case_spaces_and_the_last_stop_aside(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "Which?", "answer": ["A red  star.", "a star"]}\n')
    (question,) = read_questions(tmp_path / "a.jsonl")
    assert right(question, " a red star")
    assert right(question, "A star.")
    assert not right(question, "A red star and a ring")


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("", "holds no questions"),
        ("{not json\n", "line 1: this is no JSON object"),
        ('{"question": "x"}\n', "line 1: there is no `answer`"),
        ('\n{"answer": "x"}\n', "line 2: there is no `question`"),
        ('{"question": "x", "answer": "y", "image": "none.png"}\n', "none.png"),
    ],
)
def test_rows_that_can_not_be_asked_get_a_sentence(tmp_path: Path, data: str, wanted: str) -> None:
    (tmp_path / "a.jsonl").write_text(data)
    with pytest.raises(BadInput, match=wanted) as caught:
        read_questions(tmp_path / "a.jsonl")
    assert "\n" not in str(caught.value)


class Server(BaseHTTPRequestHandler):
    """Knows one model; `shift` is taken from each log-probability, `echo` is the way of servers other than vLLM."""

    def do_GET(self) -> None:
        known = self.path == "/v1/models"
        self._answer(200 if known else 404, {"object": "list", "data": [{"id": "stub/model"}]} if known else {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        shift, echo = self.server.shift, self.server.echo  # type: ignore[attr-defined]
        words = str(body.get("prompt", "")).split()
        if echo == bool(body.get("echo")) and echo:
            logprobs = {
                "tokens": [*words, "."],
                "token_logprobs": [None] + [-1.0 - shift] * len(words),
                "top_logprobs": [None] + [{word: -1.0 - shift, "the": -2.0} for word in [*words[1:], "."]],
            }
            return self._answer(200, {"choices": [{"logprobs": logprobs}]})
        if not echo and "prompt_logprobs" in body:
            row = {"5": {"logprob": -1.0 - shift}, "6": {"logprob": -2.0}}
            choice = {"prompt_logprobs": [None] + [row] * (len(words) - 1), "prompt_token_ids": [5] * len(words)}
            return self._answer(200, {"choices": [choice]})
        return self._answer(400, {"error": {"message": "not offered here"}})

    def _answer(self, code: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[ThreadingHTTPServer]]:
    monkeypatch.setenv("GEMMA_TUI_STATE_DIR", str(tmp_path / "state"))
    made = []
    for shift in (0.5, 0.0):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
        server.shift, server.echo = shift, False  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.append(server)
    yield made
    for server in made:
        server.shutdown()
        server.server_close()


def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("echo", [False, True])
def test_two_servers_are_compared(
    servers: list[ThreadingHTTPServer], echo: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for server in servers:
        server.echo = echo  # type: ignore[attr-defined]
    (tmp_path / "a.md").write_text("one two three\n\nfour five six seven\n")
    (tmp_path / "README.md").write_text("# Model\n\n## Evaluation\n\nNot measured.\n\n## Serve\n\nso\n")
    words = ["eval", "--url", url(servers[0]), "--against", url(servers[1]), "--text", str(tmp_path / "a.md")]
    assert main([*words, "--only", "text", "--json", "--card", str(tmp_path)]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["perplexity"]["ours"]["value"] == pytest.approx(math.exp(1.5))
    assert rows["perplexity"]["both"]["value"] == pytest.approx(math.exp(0.5))
    assert rows["greedy agreement"]["both"]["value"] == 1.0
    assert 0 < rows["KL divergence, nats a token"]["both"]["value"] < 0.2
    card = (tmp_path / "README.md").read_text()
    assert "| perplexity |" in card
    assert "Not measured" not in card
    assert card.endswith("## Serve\n\nso\n")


def test_what_a_server_does_not_offer_is_said(
    servers: list[ThreadingHTTPServer], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--url", url(servers[0]), "--only", "questions", "--limit", "1"]) == 0
    assert "not offered here" in capsys.readouterr().out


def test_the_command_refuses_what_it_can_not_do(
    servers: list[ThreadingHTTPServer],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(["eval"]) == 2
    assert main(["eval", "--url", url(servers[0]), "--text", str(tmp_path / "none")]) == 5
    assert main(["eval", "--url", url(servers[0]), "--card", str(tmp_path)]) == 5
    assert main(["eval", "--url", "http://127.0.0.1:9"]) == 4
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["eval", "--url", url(servers[0]), "--only", "text", "--limit", "1", "--tasks", "arc_easy"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 5
    assert "lm-evaluation-harness, which is not installed" in said[-1]


def test_a_card_without_an_evaluation_gets_one() -> None:
    assert with_evaluation("# Model\n", "table") == "# Model\n\n## Evaluation\n\ntable\n"


def test_the_harness_is_asked_over_completions_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "lm_eval"
    results = {"results": {"arc": {"alias": "arc", "acc,none": 0.5, "acc_stderr,none": 0.1, "acc_norm,none": 0.4}}}
    program.write_text(
        "#!/bin/sh\n"
        'while [ "$1" != "--output_path" ]; do shift; done\n'
        f'mkdir -p "$2/m"; echo \'{json.dumps(results)}\' > "$2/m/results_1.json"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = harness.run(Endpoint("http://127.0.0.1:1"), "m", "t", "arc")
    assert [(one.metric, one.value, one.error) for one in found] == [("acc", 0.5, 0.1), ("acc_norm", 0.4, None)]
    words = harness.command(Endpoint("http://h"), "m", "t", "arc,boolq", 5, tmp_path)
    assert words[2] == "local-completions"
    assert "base_url=http://h/v1/completions" in words[4]
    with pytest.raises(UsageError, match="needs an address"):
        harness.run(Endpoint("http://h", "/a.sock"), "m", "t", "arc")
