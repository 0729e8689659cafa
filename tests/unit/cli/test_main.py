"""The command itself: what it imports, what it prints, and what it ends with."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gemma_backend.types.errors import BadInput, EndpointError, EngineError, UsageError
from gemma_tui import __version__
from gemma_tui.cli import main as cli

HEAVY = ("textual", "openai", "httpx2", "pydantic", "numpy", "PIL", "rich", "asyncio", "torch", "vllm", "transformers")


def run(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gemma_tui", *words],
        capture_output=True, text=True, timeout=60, env=os.environ | environ, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("word", ["--version", "--help"])
def test_nothing_heavy_is_imported_to_answer(word: str) -> None:
    code = (
        "import sys\nfrom gemma_tui.cli.main import main\n"
        f"try:\n    main([{word!r}])\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"
    assert "gemma-tui" in done.stdout


def test_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"gemma-tui {__version__}\n"


def test_help_names_every_command() -> None:
    text = run("--help").stdout
    assert all(name in text for name in cli.COMMANDS)


def test_unknown_command_is_usage() -> None:
    done = run("aks", "hello")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_options_before_a_subcommand_are_its_own() -> None:
    nowhere = "http://127.0.0.1:1"
    done = run("--url", nowhere, "ask", "hello")
    assert (done.returncode, nowhere in done.stderr) == (4, True)
    done = run("--url", "http://127.0.0.1:2", "ask", "--url", nowhere, "hello")
    assert (done.returncode, nowhere in done.stderr) == (4, True)


def test_options_that_a_subcommand_lacks_are_refused() -> None:
    done = run("--url", "http://127.0.0.1:1", "config", "show")
    assert done.returncode == 2
    assert "--url does nothing for config" in done.stderr


def test_what_make_calls_is_there() -> None:
    rows = (Path(__file__).parents[3] / "Makefile").read_text().splitlines()
    calls = [row.partition("$(BIN)/gemma-tui ")[2].removesuffix(">&2") for row in rows if "$(BIN)/gemma-tui " in row]
    assert len(calls) > 3
    for call in calls:
        words = call.replace("$(ARGS)", "").split()
        cli.build_parser(words).parse_args(words)


@pytest.mark.parametrize("data", [b"", bytes(range(256)) * 50, b"hello\n"])
def test_what_is_no_log_of_vllm_is_told(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(data)
    done = run("engine", "explain", str(tmp_path / "a.log"))
    assert (done.returncode, done.stdout) == (0, "Nothing that vLLM writes was found in this log.\n")
    assert json.loads(run("engine", "explain", str(tmp_path / "a.log"), "--json").stdout)["phases"] == []


def test_a_sequence_without_an_end_hides_no_more_than_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("\x1b]0;title\nINFO 11-23 20:00:00 [a.py:1] vLLM API server version 0.32.0\n")
    assert "vLLM 0.32.0" in run("engine", "explain", str(tmp_path / "a.log")).stdout


def test_a_log_in_utf_16_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("INFO 11-23 20:00:00 [a.py:1] vLLM API server version 0.32.0\n", encoding="utf-16")
    assert "vLLM 0.32.0" in run("engine", "explain", str(tmp_path / "a.log")).stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("a"), 2),
        (EngineError("a"), 3),
        (EndpointError("a"), 4),
        (BadInput("a\x1b[31m"), 5),
        (OSError("a"), 70),
    ],
)
def test_failures_have_a_sentence_and_a_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GEMMA_TUI_LOG_DIR", str(tmp_path))
    assert cli.report(error) == code
    said = capsys.readouterr().err
    assert said.startswith("gemma-tui: ")
    assert said.count("\n") == 1
    assert "\x1b" not in said


def test_a_bug_leaves_a_report_without_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMA_TUI_LOG_DIR", str(tmp_path))
    secret = "sk-very-secret"
    try:
        raise ValueError(f"request with {secret} failed")
    except ValueError as error:
        assert cli.report(error) == 70
    log = tmp_path / "bugs.log"
    text = log.read_text()
    assert "ValueError" in text and "test_main.py" in text and "very-secret" not in text.replace('secret = "sk-', "")
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_in_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gemma_tui", "config", "show"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 5
    assert "disk is full" in done.stderr and done.stderr.count("\n") == 1


def test_without_standard_output_a_command_still_ends_well() -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m gemma_tui config show >&-"],
        stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_config_show_says_where_values_come_from(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[chat]\nseed = 4\n")
    done = run("config", "show", "--json", GEMMA_TUI_CONFIG_DIR=str(tmp_path), GEMMA_TUI_PROFILE="cpu")
    shown = json.loads(done.stdout)
    assert shown["chat.seed"] == {"value": 4, "source": f"file {tmp_path / 'config.toml'}"}
    assert shown["profile"] == {"value": "cpu", "source": "environment GEMMA_TUI_PROFILE"}
    lines = run("config", "show", GEMMA_TUI_CONFIG_DIR=str(tmp_path)).stdout.splitlines()
    assert any(line.split() == ["chat.temperature", "-", "default"] for line in lines)


@pytest.mark.parametrize("words", [["serve", "--port", "0"], ["engine", "start", "--detach"], ["engine", "command"]])
def test_a_profile_elsewhere_starts_no_engine(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[profiles.mine]\nurl = "http://127.0.0.1:9"\n')
    words = [word if word != "0" else str(free_port()) for word in words]
    done = run(*words, "--profile", "mine", GEMMA_TUI_CONFIG_DIR=str(tmp_path))
    assert done.returncode == 2
    assert "server elsewhere" in done.stderr and done.stderr.count("\n") == 1


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_config_mistake_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[chat]\nsede = 4\n")
    done = run("config", "show", GEMMA_TUI_CONFIG_DIR=str(tmp_path))
    assert done.returncode == 2
    assert "did you mean 'chat.seed'" in done.stderr
