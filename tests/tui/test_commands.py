"""Slash commands and completion in the composer."""

from pathlib import Path

from textual.widgets.text_area import Selection

from stubs.openai_server import OpenAIServer
from tui.pilots import attached, idle, ready, said, screen_text, until


async def test_a_command_is_completed_and_run(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press("/", "h", "e")
        await until(pilot, lambda: "every command and what it does" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "Commands" in screen_text(app) and "/system" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.main)
        assert app.main.composer.text == ""
        assert app.main.completions.region.height == 0
    assert not server.prompts


async def test_choosing_moves_round_and_escape_leaves_the_text(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"/c")
        await until(pilot, lambda: app.main.completions.chosen is not None)
        first = app.main.completions.chosen
        await pilot.press("up", "down", "down")
        assert app.main.completions.chosen != first
        await pilot.press("escape")
        assert app.main.completions.chosen is None
        assert app.main.composer.text == "/c"
        # Declined is declined, until something else is typed.
        await pilot.press("left", "right")
        assert app.main.completions.chosen is None
        await pilot.press("o")
        await until(pilot, lambda: app.main.completions.chosen is not None)
        await pilot.press("tab")
        assert app.main.composer.text == "/copy "
        await until(pilot, lambda: "reply" in screen_text(app))


async def test_what_is_no_command_stays_and_says_why(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"/sistem x", "enter")
        await until(pilot, lambda: app.main.notice.message)
        assert "did you mean /system?" in app.main.notice.message
        assert app.main.composer.text == "/sistem x"
        app.main.composer.put(" /etc holds settings")
        await pilot.press("enter")
        await idle(pilot)
        assert said(app)[0] == ("user", " /etc holds settings")


async def test_a_system_text_goes_before_every_request_until_taken_back(server: OpenAIServer) -> None:
    app = attached(server.url)

    def roles() -> list[str]:
        return [message["role"] for message in server.prompts[-1].json["messages"]]

    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"/system Be brief.", "enter")
        await until(pilot, lambda: ("system", "Be brief.") in said(app))
        for number in (1, 2):
            await pilot.press(*"Hello", "enter")
            await until(pilot, lambda number=number: server.finished == number)
            await idle(pilot)
            assert roles()[0] == "system"
            assert roles().count("system") == 1
        # A new conversation keeps it.
        await pilot.press(*"/clear", "escape", "enter")
        await until(pilot, lambda: not said(app))
        await pilot.press(*"Hello", "enter")
        await until(pilot, lambda: server.finished == 3)
        await idle(pilot)
        assert roles() == ["system", "user"]
        await pilot.press(*"/system none", "enter")
        await until(pilot, lambda: "any more" in app.main.notice.message)
        await pilot.press(*"Hello", "enter")
        await until(pilot, lambda: server.finished == 4)
        await idle(pilot)
        assert "system" not in roles()


async def test_a_path_behind_an_at_is_completed_through_folders_and_attached(
    server: OpenAIServer, picture: Path
) -> None:
    folder = picture.parent / "my pictures"
    folder.mkdir()
    picture.rename(folder / picture.name)
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        app.main.composer.put(f"see @{picture.parent}/my")
        await until(pilot, lambda: app.main.completions.chosen is not None)
        await pilot.press("tab")
        assert app.main.composer.text.endswith("/my\\ pictures/")
        await until(pilot, lambda: app.main.completions.chosen and app.main.completions.chosen.path)
        await pilot.press("enter")
        await until(pilot, lambda: app.main.chips.chips and app.main.chips.chips[0].part)
        assert app.main.composer.text == "see "
        await pilot.press("ctrl+underscore")
        assert app.main.composer.text.endswith("/my\\ pictures/")


async def test_a_path_that_was_typed_whole_is_attached_on_sending(server: OpenAIServer, picture: Path) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        name = str(picture).replace(" ", "\\ ")
        app.main.composer.put(f"What is @{name} about?")
        await pilot.press("escape", "enter")
        await until(pilot, lambda: server.finished == 1)
        await idle(pilot)
        assert said(app)[0] == ("user", "What is about?")
    content = server.prompts[-1].json["messages"][-1]["content"]
    assert [part["type"] for part in content] == ["image_url", "text"]


async def test_image_takes_a_path_as_it_is_or_quoted(server: OpenAIServer, picture: Path) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        quoted = str(picture).replace(" ", "\\ ")
        for number, argument in enumerate((str(picture), f"'{picture}'", quoted), 1):
            app.main.composer.put(f"/image {argument}")
            await pilot.press("escape", "enter")
            await until(pilot, lambda number=number: len(app.main.chips.chips) == number)
            await until(pilot, lambda: all(chip.part for chip in app.main.chips.chips))
        app.main.composer.put("/image")
        await pilot.press("enter")
        await until(pilot, lambda: "Name a file" in app.main.notice.message)


async def test_copy_gives_the_reply_its_code_or_everything(server: OpenAIServer) -> None:
    from stubs.openai_server import Reply

    server.reply = Reply("Look:\n\n```python\nprint(1)\n```\n")
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"/copy", "escape", "enter")
        await until(pilot, lambda: "nothing to copy" in app.main.notice.message)
        app.main.composer.put("Hello")
        await pilot.press("enter")
        await idle(pilot)
        for argument, copied in (("", "Look:\n\n"), (" code", "print(1)"), (" all", "Hello\n\nLook:")):
            app.main.composer.put(f"/copy{argument}")
            await pilot.press("escape", "enter")
            await until(pilot, lambda copied=copied: app.clipboard.startswith(copied))


async def test_the_mouse_and_the_cursor_leave_completion_alone(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"/c")
        await until(pilot, lambda: app.main.completions.chosen is not None)
        await pilot.click(app.main.completions, offset=(4, 0))
        await until(pilot, lambda: app.main.composer.text == "/copy ")
        app.main.composer.put("/co and more")
        app.main.composer.selection = Selection.cursor((0, 12))
        await until(pilot, lambda: app.main.completions.chosen is None)
