"""`gemma-tui ask` as a process: what goes to which stream, and the exit code."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest
from PIL import Image

from gemma_tui.cli.main import main
from stubs.answering_engine import environment
from stubs.openai_server import OpenAIServer, Reply, mixed_markdown

Ask = Callable[..., Awaitable["Result"]]


@dataclass
class Result:
    """How a command ended."""

    code: int
    out: bytes
    err: str


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command finds nothing of the person who runs the tests."""
    for name in ("DATA", "STATE", "CACHE", "CONFIG", "LOG"):
        monkeypatch.setenv(f"GEMMA_TUI_{name}_DIR", str(tmp_path / name.lower()))
    for name in ("GEMMA_TUI_API_KEY", "OPENAI_API_KEY", "GEMMA_TUI_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ask(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Runs `gemma-tui ask` in a thread of this process: most cases need no process of their own."""

    async def run(*words: str, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            code = await asyncio.to_thread(main, ["ask", *words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsysbinary.readouterr()
        return Result(code, out, err.decode())

    return run


async def spawned(*words: str, stdout: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
    """Start `gemma-tui ask` as a process."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gemma_tui", "ask", *words, stdin=asyncio.subprocess.DEVNULL, stdout=stdout
    )


def one_sentence(result: Result, code: int, hint: str) -> None:
    """Nothing on standard output, one line on standard error, and the exit code."""
    assert result.code == code, result.err
    assert result.out == b""
    assert hint in result.err
    assert result.err.startswith("gemma-tui: ")
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err


async def test_a_reply_goes_to_standard_output_as_it_is(ask: Ask) -> None:
    text = "# [bold]Hi[/] € \x1b[31m\x9b2J\x07 \n\n"
    async with OpenAIServer(reply=Reply(text)) as server:
        result = await ask("Once", "upon  a time", "--url", server.url, "--max-tokens", "99", "--temperature", "0",
                           "--seed", "5", "--stop", "END", "--stop", "\n\n")  # fmt: skip
        sent = server.prompts[0].json
    assert (result.code, result.out.decode(), result.err) == (0, text, "")
    assert sent["messages"] == [{"role": "user", "content": "Once upon  a time"}]
    assert (sent["max_tokens"], sent["temperature"], sent["seed"]) == (99, 0, 5)
    assert sent["stop"] == ["END", "\n\n"]


async def test_the_prompt_can_come_from_standard_input(ask: Ask) -> None:
    async with OpenAIServer() as server:
        assert (await ask("--url", server.url, stdin="grüß\ndich\n".encode())).code == 0
        assert server.prompts[0].json["messages"][0]["content"] == "grüß\ndich"


async def test_raw_keeps_every_byte(ask: Ask) -> None:
    data = "\ufeff  € line\r\n\ttab \x00\n\n".encode()
    async with OpenAIServer(reply=Reply(" on\n")) as server:
        result = await ask("--raw", "--url", server.url + "/v1", stdin=data)
        assert server.prompts[0].path == "/v1/completions"
        assert server.prompts[0].json["prompt"].encode() == data
    assert result.out == b" on\n"


async def test_json_is_one_object(ask: Ask) -> None:
    async with OpenAIServer(reply=Reply("Hällo \x1b you.", reasoning="hm")) as server:
        result = await ask("hi", "--json", "--url", server.url)
    answer = json.loads(result.out)
    assert result.out.count(b"\n") == 1
    assert b"\x1b" not in result.out
    assert answer["text"] == "Hällo \x1b you."
    assert answer["reasoning"] == "hm"
    assert answer["model"] == "stub/model"
    assert answer["finish_reason"] == "stop"
    assert answer["completion_tokens"] == 3
    assert 0 < answer["ttft_s"] <= answer["seconds"]


async def test_a_system_text_goes_first(ask: Ask) -> None:
    async with OpenAIServer() as server:
        await ask("hi", "--system", "Be brief.", "--url", server.url)
    sent = [(message["role"], message["content"]) for message in server.prompts[-1].json["messages"]]
    assert sent == [("system", "Be brief."), ("user", "hi")]


async def test_a_picture_goes_along(ask: Ask, tmp_path: Path) -> None:
    picture = tmp_path / "a b'ü.png"
    Image.new("RGB", (32, 16), "red").save(picture)
    async with OpenAIServer() as server:
        assert (await ask("what?", "--image", str(picture), "--url", server.url)).code == 0
        image, text = server.prompts[0].json["messages"][0]["content"]
    assert image["image_url"]["url"].startswith("data:image/")
    assert text == {"type": "text", "text": "what?"}


async def test_a_file_can_be_given_as_a_uri(ask: Ask, tmp_path: Path) -> None:
    picture = tmp_path / "a ü.png"
    Image.new("RGB", (8, 8)).save(picture)
    async with OpenAIServer() as server:
        assert (await ask("--image", picture.as_uri(), "--url", server.url)).code == 0
        assert len(server.prompts[0].json["messages"][0]["content"]) == 1


async def test_text_is_cleaned_on_a_terminal() -> None:
    ours, theirs = os.openpty()
    text = "safe \x1b]0;title\x07 \x9b31m é\r\nend"
    async with OpenAIServer(reply=Reply(text)) as server:
        process = await spawned("hi", "--url", server.url, stdout=theirs)
        assert await process.wait() == 0
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert "\x07" not in shown
    assert "title" in shown
    assert "é" in shown
    assert shown.endswith("end\r\n")


async def test_it_streams() -> None:
    async with OpenAIServer(reply=Reply("first " + "word " * 100_000, rate=50)) as server:
        process = await spawned("hi", "--url", server.url)
        assert process.stdout is not None
        assert await process.stdout.readexactly(5) == b"first"
        assert server.running == 1
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        await server.until(running=0, aborted=1)


async def test_a_reader_that_leaves_is_no_failure() -> None:
    async with OpenAIServer(reply=Reply(mixed_markdown(20_000))) as server:
        process = await asyncio.create_subprocess_shell(
            f"{sys.executable} -m gemma_tui ask hi --url {server.url} | head -c 5; exit ${{PIPESTATUS[0]}}",
            executable="/bin/bash",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert (len(out), err, process.returncode) == (5, b"", 0)


async def test_a_reply_that_breaks_off_keeps_what_came(ask: Ask) -> None:
    async with OpenAIServer(reply=Reply("one two three", fault="cut", after=2)) as server:
        plain = await ask("hi", "--url", server.url)
        as_json = await ask("hi", "--json", "--url", server.url)
    assert (plain.code, plain.out) == (4, b"one two")
    assert "cut in mid-reply" in plain.err
    assert as_json.code == 4
    assert json.loads(as_json.out)["text"] == "one two"
    assert json.loads(as_json.out)["finish_reason"] == "error"


async def test_the_key_comes_from_a_file_or_variable(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"
    key.write_text("sesame\n")
    async with OpenAIServer(key="sesame") as server:
        one_sentence(await ask("hi", "--url", server.url), 4, "wants an API key")
        assert (await ask("hi", "--url", server.url, "--api-key-file", str(key))).code == 0
        monkeypatch.setenv("OPENAI_API_KEY", "wrong")
        one_sentence(await ask("hi", "--url", server.url), 4, "refused the API key")
        monkeypatch.setenv("GEMMA_TUI_API_KEY", "sesame")
        assert (await ask("hi", "--url", server.url)).code == 0


async def test_several_models_need_a_choice(ask: Ask) -> None:
    async with OpenAIServer(models=["one", "two"]) as server:
        one_sentence(await ask("hi", "--url", server.url), 2, "one, two")
        one_sentence(await ask("hi", "--url", server.url, "--model", "twoo"), 2, "did you mean two?")
        assert (await ask("hi", "--url", server.url, "--model", "two")).code == 0


async def test_what_is_no_server_exits_with_4(ask: Ask) -> None:
    async with OpenAIServer(answers={"/v1/models": (200, {}, b"<html>")}) as server:
        url = server.url
        one_sentence(await ask("hi", "--url", url), 4, "no OpenAI server")
    one_sentence(await ask("hi", "--url", url), 4, "Nothing listens")


@pytest.mark.parametrize(
    ("words", "stdin", "code", "hint"),
    [
        (["hi", "--url", "localhost:8000"], b"", 2, "http://localhost:8000"),
        (["hi", "--url", ""], b"", 2, "no address"),
        (["hi", "--url", "http://127.0.0.1:9", "--image", ""], b"", 2, "without a file"),
        (["hi", "--url", "http://h", "--profile", "pocket"], b"", 2, "exclude each other"),
        (["hi", "--profile", "pockett"], b"", 2, "pocket"),
        (["hi", "--profile", "pocket", "--model", "other"], b"", 2, "--model goes with --url"),
        (["hi", "--profile", "pocket", "--api-key-file", "k"], b"", 2, "--api-key-file goes with --url"),
        (["--url", "http://127.0.0.1:9"], b"", 5, "prompt is empty"),
        (["--url", "http://127.0.0.1:9"], b"ab\xff", 5, "byte 2"),
        (["--raw", "--url", "http://127.0.0.1:9"], b"\xc3", 5, "UTF-8"),
        (["hi", "--url", "http://127.0.0.1:9", "--image", "/no/such.png"], b"", 5, "such.png"),
        (["hi", "--url", "http://127.0.0.1:9", "--api-key-file", "/no/key"], b"", 5, "no key file"),
        (["hi", "--url", "https://127.0.0.1:9", "--ca-file", "/no/ca"], b"", 5, "certificate file"),
    ],
)
async def test_bad_input_gets_one_sentence(ask: Ask, words: list[str], stdin: bytes, code: int, hint: str) -> None:
    one_sentence(await ask(*words, stdin=stdin), code, hint)


async def test_a_picture_given_as_sound_is_told(ask: Ask, tmp_path: Path) -> None:
    picture = tmp_path / "p.png"
    Image.new("RGB", (8, 8)).save(picture)
    result = await ask("hi", "--url", "http://127.0.0.1:9", "--audio", str(picture))
    one_sentence(result, 5, "--image")


@pytest.mark.parametrize(
    "words", [["--max-tokens", "0"], ["--temperature", "-1"], ["--seed", "x"], ["--max-tokens", "x"], ["--nonsense"]]
)
async def test_wrong_options_exit_with_2(ask: Ask, words: list[str]) -> None:
    result = await ask("hi", *words)
    assert (result.code, result.out) == (2, b"")
    assert "Traceback" not in result.err and "_positive" not in result.err


async def test_a_missing_runtime_is_told_with_the_command_and_nothing_is_fetched(ask: Ask, tmp_path: Path) -> None:
    one_sentence(await ask("hi", "--profile", "pocket"), 3, "gemma-tui engine install --runtime cpu")
    assert not list((tmp_path / "data").rglob("*"))


@pytest.fixture
def own_profile(tmp_path: Path) -> str:
    """The name of a profile on a program that stands in for vLLM."""
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    (checkpoint / "model.safetensors").write_bytes(b"")
    profiles = tmp_path / "config" / "profiles"
    profiles.mkdir(parents=True)
    runtime = environment(tmp_path / "runtime")
    (profiles / "mine.toml").write_text(f'checkpoint = "{checkpoint}"\nruntime = "path:{runtime}"\n')
    return "mine"


async def test_an_engine_is_started_for_the_prompt_and_stopped_after_it(
    ask: Ask, own_profile: str, tmp_path: Path
) -> None:
    result = await ask("hello", "--profile", own_profile)
    assert (result.code, result.out, result.err) == (0, b"You said hello.", "")
    assert list((tmp_path / "state" / "engines").glob("*.json")) == []
    died = await ask("die", "--profile", own_profile)
    assert died.code == 3
    assert died.out.startswith(b"word")
    assert "Traceback" not in died.err


def on_a_terminal(*words: str, answer: str | None = None) -> tuple[int, str]:
    """Run `gemma-tui ask` with a terminal for all three streams; `answer` is typed at its question."""
    process = pexpect.spawn(sys.executable, ["-m", "gemma_tui", "ask", *words], encoding="utf-8", timeout=60)
    shown = ""
    if answer is not None:
        process.expect_exact("[y/N] ")
        shown = process.before + process.after
        process.sendline(answer)
    shown += process.read()
    process.wait()
    return process.exitstatus, shown


def test_a_terminal_shows_the_phases_and_then_the_reply_alone(own_profile: str) -> None:
    code, shown = on_a_terminal("hello", "--profile", own_profile)
    assert code == 0
    # Which phases are seen is a matter of how long each lasts.
    assert re.match(r"\r\x1b\[K[a-z]+", shown)
    assert shown.endswith("\r\x1b[KYou said hello.\r\n")


def test_nothing_is_fetched_after_a_no(tmp_path: Path) -> None:
    code, shown = on_a_terminal("hello", "--profile", "pocket", answer="n")
    assert code == 3
    assert "GB to fetch" in shown
    assert "gemma-tui engine install --runtime cpu" in shown
    assert not list((tmp_path / "data").rglob("*"))


def test_one_interrupt_at_the_question_is_enough(tmp_path: Path) -> None:
    process = pexpect.spawn(
        sys.executable, ["-m", "gemma_tui", "ask", "hello", "--profile", "pocket"], encoding="utf-8", timeout=60
    )
    process.expect_exact("[y/N] ")
    process.sendintr()
    process.expect(pexpect.EOF)
    process.wait()
    assert process.exitstatus == 130
    assert not list((tmp_path / "data").rglob("*"))


async def test_a_profile_elsewhere_says_which_options_it_does_not_take(tmp_path: Path, ask: Ask) -> None:
    profiles = tmp_path / "config" / "profiles"
    profiles.mkdir(parents=True)
    (profiles / "far.toml").write_text('url = "https://127.0.0.1:9"\n')
    one_sentence(await ask("hi", "--profile", "far", "--insecure"), 2, "--insecure goes with --url")


def test_without_a_prompt_a_terminal_is_told_how_to_give_one() -> None:
    code, shown = on_a_terminal()
    assert code == 2
    assert "gemma-tui ask" in shown
