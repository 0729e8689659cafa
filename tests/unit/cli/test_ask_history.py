"""`gemma-tui ask` and the history: what is kept, `-c`, and `--no-history`."""

# ruff: noqa: F811 (fixtures of the other file are imported and then named as arguments)

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from gemma_backend.store.history import History
from stubs.openai_server import OpenAIServer, Reply
from unit.cli.test_ask import Ask, ask, one_sentence, own_folders  # noqa: F401 (fixtures)


def messages(server: OpenAIServer) -> list[tuple[str, str]]:
    """Role and text of what the last request carried."""
    return [(message["role"], message["content"]) for message in server.prompts[-1].json["messages"]]


async def test_the_last_conversation_goes_on(ask: Ask, tmp_path: Path) -> None:
    picture = tmp_path / "p.png"
    Image.new("RGB", (8, 8)).save(picture)
    async with OpenAIServer(reply=Reply("A square.")) as server:
        url = ("--url", server.url)
        await ask("unrelated", *url)
        assert (await ask("what?", "--image", str(picture), *url)).code == 0
        assert (await ask("And its colour?", "-c", *url)).code == 0
        sent = server.prompts[-1].json["messages"]
        assert [message["role"] for message in sent] == ["user", "assistant", "user"]
        assert sent[0]["content"][0]["type"] == "image_url"
        assert (await ask("Sure?", "--continue", *url)).code == 0
        assert [role for role, _ in messages(server)] == ["user", "assistant"] * 2 + ["user"]
    latest = History().latest()
    assert latest is not None
    assert (latest.title, latest.turns, latest.images) == ("what?", 6, 1)
    assert latest.profile == server.url


async def test_a_system_message_is_kept_with_its_conversation(ask: Ask) -> None:
    async with OpenAIServer(reply=Reply("Yes.")) as server:
        await ask("one", "--system", "Be brief.", "--url", server.url)
        await ask("two", "-c", "--url", server.url)
        assert messages(server)[:2] == [("system", "Be brief."), ("user", "one")]
        one_sentence(await ask("x", "-c", "--system", "y", "--url", server.url), 2, "leave one of them out")


async def test_alternatives_are_kept_beside_one_another(ask: Ask) -> None:
    async with OpenAIServer(reply=Reply("Yes.")) as server:
        await ask("one", "--n", "2", "--url", server.url)
        await ask("two", "-c", "--url", server.url)
        assert messages(server) == [("user", "one"), ("assistant", "Yes."), ("user", "two")]
    latest = History().latest()
    assert latest is not None
    nodes = History().load(latest.id).nodes
    assert [node.text for node in nodes if node.parent == nodes[0].id] == ["Yes.", "Yes."]


@pytest.mark.parametrize("words", [["--no-history"], ["--raw"]])
async def test_nothing_is_written_where_nothing_is_to_be_kept(ask: Ask, tmp_path: Path, words: list[str]) -> None:
    async with OpenAIServer(reply=Reply("Yes.")) as server:
        assert (await ask("secret", *words, "--url", server.url)).out == b"Yes."
    assert not (tmp_path / "state" / "history").exists()


async def test_a_conversation_can_go_on_without_being_written(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    async with OpenAIServer(reply=Reply("Yes.")) as server:
        await ask("one", "--url", server.url)
        monkeypatch.setenv("GEMMA_TUI_HISTORY_KEEP", "false")
        await ask("two", "-c", "--url", server.url)
        assert messages(server) == [("user", "one"), ("assistant", "Yes."), ("user", "two")]
    latest = History().latest()
    assert latest is not None
    assert latest.turns == 2


async def test_there_is_nothing_to_go_on_with(ask: Ask) -> None:
    one_sentence(await ask("x", "-c", "--url", "http://127.0.0.1:9"), 5, "no conversation to go on with")
    one_sentence(await ask("x", "-c", "--raw", "--url", "http://127.0.0.1:9"), 2, "leave out -c")


async def test_a_history_that_cannot_be_written_is_told_and_the_reply_comes(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "history").write_text("in the way")
    async with OpenAIServer(reply=Reply("Yes.")) as server:
        result = await ask("one", "--url", server.url)
    assert (result.code, result.out) == (0, b"Yes.")
    # Question and reply fail for one reason, which is said once.
    assert result.err.startswith("gemma-tui: ") and result.err.count("\n") == 1
    assert "history" in result.err
