"""`gemma-tui top` against servers that replay a capture."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gemma_backend.types import Endpoint
from gemma_tui.tui.top import TopApp, arranged
from gemma_tui.tui.widgets.dashboard import Dashboard

BUSY = (Path(__file__).parents[1] / "fixtures" / "metrics" / "vllm-0.32-cpu-busy.prom").read_bytes()


@contextlib.asynccontextmanager
async def replayed(body: bytes = BUSY) -> AsyncIterator[str]:
    """A server whose every answer is `body`."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def top(*arguments: str) -> tuple[int | None, str, str]:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gemma_tui", "top", *arguments),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_once_as_json_apart_and_together() -> None:
    async with replayed() as one, replayed() as two:
        code, output, errors = await top("--once", "--json", "--interval", "0.2", one, two + "/v1")
    assert (code, errors) == (0, "")
    found = json.loads(output)
    assert [server["server"] for server in found["servers"]] == [one, two + "/v1"]
    assert [server["running"] for server in found["servers"]] == [3, 3]
    assert found["servers"][0]["kv_tokens"] == 55_356
    assert found["servers"][0]["generation_rate"] == 0.0
    assert found["servers"][0]["make"] == "vLLM"
    assert found["together"]["running"] == 6
    assert found["together"]["ttft"]["p50"] is None


async def test_once_in_words() -> None:
    async with replayed() as one:
        code, output, _ = await top("--once", "--interval", "0.2", one)
    assert code == 0
    assert "  running         3\n" in output
    assert "  KV cache        0.7%\n" in output
    assert "  first token     not available\n" in output


async def test_nobody_there_is_exit_code_4() -> None:
    async with replayed() as gone:
        pass
    code, output, errors = await top("--once", "--interval", "0.2", gone)
    assert code == 4
    assert "The server does not answer." in output
    assert errors == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://127.0.0.1:1"], "needs a terminal"),
        (["--json", "http://127.0.0.1:1"], "--json goes with --once"),
        (["--once", "--interval", "0", "http://127.0.0.1:1"], "between 0.1 and 3600"),
        (["--once", "no address"], "no address"),
    ],
)
async def test_wrong_use_is_one_sentence(arguments: list[str], said: str) -> None:
    code, output, errors = await top(*arguments)
    assert code == 2
    assert output == ""
    assert said in errors
    assert len(errors.splitlines()) == 1


async def test_two_servers_side_by_side_and_together() -> None:
    async with replayed() as one, replayed() as two:
        app = TopApp([("[one]", Endpoint(one), None), ("two", Endpoint(two), None)], 0.1)
        async with app.run_test(size=(140, 40)) as pilot:
            boards = list(app.query(Dashboard))
            while not all("running" in board.words() for board in boards):
                await pilot.pause(0.05)
            assert len(boards) == 3
            assert "6 running" in boards[0].words()
            assert "3 running" in boards[1].words()
            screen = app.export_screenshot().replace("&#160;", " ")
            assert "[one]" in screen
            await pilot.press("space")
            before, shown = len(boards[1].history), boards[1].words()
            await pilot.pause(0.5)
            # What comes while the picture stands still is kept.
            assert len(boards[1].history) > before
            assert boards[1].words() == shown
            await pilot.press("space")
            await pilot.pause(0.3)
            assert not boards[1].held
            await pilot.press("t")
            assert app.theme == "gemma-light"
            await pilot.press("q")
        assert app.return_code == 0


async def test_zoom_window_and_export(tmp_path: Path) -> None:
    async with replayed() as one:
        app = TopApp([("=one", Endpoint(one), None)], 0.1, folder=tmp_path)
        async with app.run_test(size=(120, 40)) as pilot:
            board = app.query_one(Dashboard)
            while len(board.history) < 5:
                await pilot.pause(0.05)
            await pilot.press("minus", "minus")
            assert board.view.span == 900
            assert "Charts 15 min" in app.export_screenshot().replace("&#160;", " ")
            await pilot.press("plus", "plus", "plus")
            assert board.view.span == 60
            await pilot.press("w")
            assert board.view.window == 300
            assert "latencies, last 5 min" in board.words()
            await pilot.press("e")
            while len(list(tmp_path.iterdir())) < 2:
                await pilot.pause(0.05)
            await pilot.pause(0.2)
            told = app.export_screenshot().replace("&#160;", " ")
            assert "Written: " in told
    (table,) = tmp_path.glob("*.csv")
    head, *lines = table.read_text().splitlines()
    assert head.startswith("server,time,seconds,generation (tokens/s),prompt (tokens/s),running (requests)")
    assert lines[-1].startswith("'=one,")
    assert lines[-1].split(",")[5] == "3"
    (document,) = tmp_path.glob("*.json")
    found = json.loads(document.read_text())
    assert found["servers"][0]["server"] == "=one"
    assert found["servers"][0]["rows"][-1]["running"] == 3
    assert found["units"]["kv_cache"] == "share"


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    async with replayed() as one:
        app = TopApp([("one", Endpoint(one), None)], 0.1, folder=tmp_path / "absent")
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.press("e")
            await pilot.pause(0.3)
            assert "cannot be written" in app.export_screenshot().replace("&#160;", " ")


async def test_keys_can_be_clicked() -> None:
    async with replayed() as one:
        app = TopApp([("one", Endpoint(one), None)], 0.1)
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.click("#keys", offset=(14, 0))
            await pilot.pause()
            assert app.query_one(Dashboard).held


async def test_a_hostile_page_is_text_and_bounded() -> None:
    """Escape sequences in labels, names without end, a thousand engines, 100 MB: nothing of it reaches the terminal."""
    evil = "\x1b]0;owned\x07\x9b31m[red]"
    lines = [BUSY.decode().replace("gemma-3-270m-NVFP4A16", evil)]
    lines += [
        f'vllm:{name}{{engine="{number}{evil}",model_name="{evil * 20}"}} 0.5'
        for number in range(1000)
        for name in ("num_requests_running", "generation_tokens_total", "kv_cache_usage_perc")
    ]
    async with replayed("\n".join(lines).encode()) as one, replayed(b"vllm:x 1\n" * 12_000_000) as two:
        app = TopApp([(evil, Endpoint(one), None), ("huge", Endpoint(two), None)], 0.2)
        async with app.run_test(size=(140, 40)) as pilot:
            boards = list(app.query(Dashboard))
            for _ in range(200):
                if "and 92" in boards[1].words() or "more than 4 MiB" in boards[2].words().replace("\n", " "):
                    break
                await pilot.pause(0.1)
            await pilot.pause(1.0)
            for board in boards:
                for y in range(board.size.height):
                    for segment in board.render_line(y):
                        assert all(character.isprintable() for character in segment.text), segment.text
            assert "4 MiB" in boards[2].words()
            assert "engine 0" in boards[1].words()
            assert "more" in boards[1].words()


@pytest.mark.parametrize(
    ("count", "width", "height", "expected"),
    [(1, 80, 22, (1, 22)), (3, 160, 46, (3, 46)), (3, 80, 22, (2, 11)), (5, 120, 38, (3, 19)), (4, 120, 38, (2, 19)),
     (9, 80, 22, (2, 4)), (2, 30, 22, (1, 11)), (40, 80, 22, (2, 4))],
)  # fmt: skip
def test_boards_stand_beside_each_other_where_they_are_legible(
    count: int, width: int, height: int, expected: tuple[int, int]
) -> None:
    assert arranged(count, width, height) == expected


async def test_every_server_is_seen_on_a_small_screen_too() -> None:
    """One of three does not answer: the sum is of the two that do, and says so."""
    async with replayed() as gone:
        pass
    async with replayed() as one, replayed() as two:
        targets = [(name, Endpoint(url), None) for name, url in (("one", one), ("two", two), ("gone", gone))]
        app = TopApp(targets, 0.1)
        async with app.run_test(size=(80, 24)) as pilot:
            boards = list(app.query(Dashboard))
            while not (all("running" in board.words() for board in boards[:3]) and "answer" in boards[3].words()):
                await pilot.pause(0.05)
            shown = [board.region for board in boards]
            assert all(app.screen.region.contains_region(region) and region.width >= 34 for region in shown)
            assert not any(one.overlaps(other) for one, other in itertools.combinations(shown, 2))
            assert "6 running" in boards[0].words()
            assert "2 of 3 servers tell their" in boards[0].words().replace("\n", " ")
            await pilot.resize_terminal(160, 40)
            while len({board.region.y for board in boards}) > 1:
                await pilot.pause(0.05)


async def test_servers_without_room_are_reached_by_keys() -> None:
    async with replayed() as one:
        app = TopApp([(f"number {number}", Endpoint(one), None) for number in range(12)], 0.2)
        async with app.run_test(size=(60, 12)) as pilot:
            last = list(app.query(Dashboard))[-1]
            await pilot.pause()
            assert not app.screen.region.overlaps(last.region)
            for _ in range(12):
                await pilot.press("pagedown")
            await pilot.pause()
            assert app.screen.region.overlaps(last.region)
            await pilot.press("up")
            # As small as a terminal can be, it is still a screen and not a traceback.
            for size in ((20, 5), (3, 2), (80, 24)):
                await pilot.resize_terminal(*size)
                await pilot.pause(0.3)
