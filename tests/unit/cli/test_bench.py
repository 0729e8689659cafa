"""`gemma-tui bench` as a person runs it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageColor

from gemma_backend.evaluate.bench import plot, records
from gemma_tui.cli.main import main
from stubs.openai_server import OpenAIServer, Reply
from stubs.replies import mixed_markdown


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "STATE", "CACHE", "CONFIG", "LOG"):
        monkeypatch.setenv(f"GEMMA_TUI_{name}_DIR", str(tmp_path / name.lower()))


async def started(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gemma_tui", "bench", *arguments),
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def bench(*arguments: str) -> tuple[int | None, str, str]:
    process = await started(*arguments)
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


QUICK = ("--requests", "4", "--output-tokens", "10", "--warmup", "0")


async def test_a_table_and_every_kind_of_file(tmp_path: Path) -> None:
    json_file, markdown, picture = (tmp_path / name for name in ("a.json", "a.md", "a.svg"))
    async with OpenAIServer(reply=Reply(mixed_markdown(10))) as server:
        code, output, errors = await bench(
            *("--url", server.url, *QUICK, "--concurrency", "1,2", "--goodput", "ttft=5000", "--preset", "card"),
            *("--json", str(json_file), "--markdown", str(markdown), "--plot", str(picture)),
        )
        asked = len(server.prompts)
    assert code == 0
    assert asked == 2 + 8
    assert re.search(r"^load +1 at once  2 at once$", output, re.MULTILINE)
    assert "published: bg-digitalservices" in output
    assert [line.split(":")[0] for line in errors.splitlines()] == ["1 at once", "2 at once"]
    report = records.read(json_file)
    assert [len(one.asked) for one in report.rounds] == [4, 4]
    assert report.target.server == "vLLM 0.32.0"
    assert report.goodput == {"ttft": 5.0}
    assert markdown.read_text().count("| load |") == 1
    assert picture.read_text().startswith("<svg ")
    code, output, _ = await bench("--compare", str(json_file), str(json_file))
    assert code == 0
    assert output.count("no difference shown") >= 6
    assert "--repeat 3" in output


async def test_a_plot_for_what_shows_no_svg(tmp_path: Path) -> None:
    picture = tmp_path / "a.PNG"
    async with OpenAIServer(reply=Reply(mixed_markdown(10))) as server:
        code, _, errors = await bench("--url", server.url, *QUICK, "--concurrency", "1,2", "--plot", str(picture))
    assert code == 0, errors
    with Image.open(picture) as image:
        assert (image.format, image.width) == ("PNG", 4 * plot.WIDTH)
        # White paper with the two loads' colours on it.
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20) or ()}
    assert {ImageColor.getrgb(plot.COLOURS[0]), ImageColor.getrgb(plot.COLOURS[1]), (255, 255, 255)} <= colours


async def test_json_on_standard_output_is_json_alone() -> None:
    async with OpenAIServer(reply=Reply(mixed_markdown(10))) as server:
        code, output, _ = await bench("--url", server.url, *QUICK, "--json", "-")
    assert code == 0
    assert json.loads(output)["format"] == "gemma-tui bench"


async def test_ctrl_c_shows_what_was_finished() -> None:
    async with OpenAIServer(reply=Reply(mixed_markdown(10), rate=50)) as server:
        process = await started("--url", server.url, "--requests", "10000", "--warmup", "0", "--output-tokens", "10")
        await server.until(finished=6)
        process.send_signal(signal.SIGINT)
        output, _ = await process.communicate()
        await server.until(running=0)
    assert process.returncode == 130
    assert "it was interrupted; what was finished by then is shown" in output.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "no engine runs here"),
        (["--url", "http://127.0.0.1:9", "--profile", "pocket"], 2, "exclude each other"),
        (["--url", "http://127.0.0.1:9", "--concurrency", "0"], 2, "--concurrency takes numbers above 0"),
        (["--url", "http://127.0.0.1:9", "--concurrency", "1.5"], 2, "--concurrency takes numbers above 0"),
        (["--url", "http://127.0.0.1:9", "--rate", "x"], 2, "--rate takes numbers above 0"),
        (["--url", "http://127.0.0.1:9", "--prompt-tokens", "9-3"], 2, "9-3 is neither"),
        (["--url", "http://127.0.0.1:9", "--prompt-tokens", "long"], 2, "'long' is neither"),
        (["--url", "http://127.0.0.1:9", "--shared-prefix", "128"], 2, "does not fit into prompts of 128 tokens"),
        (["--url", "http://127.0.0.1:9", "--mix", "video=1"], 2, "not 'video=1'"),
        (["--url", "http://127.0.0.1:9", "--mix", "image=1", "--api", "completions"], 2, "leave --api out"),
        (["--url", "http://127.0.0.1:9", "--goodput", "speed=1"], 2, "not 'speed=1'"),
        (["--url", "http://127.0.0.1:9", "--requests", "0"], 2, "--requests must be more than 0"),
        (
            ["--url", "http://127.0.0.1:9", "--concurrency", "64", "--requests", "8"],
            2,
            "cannot keep 64 running at once",
        ),
        (["--url", "http://127.0.0.1:9", "--plot", "x.pdf"], 2, "--plot writes SVG or PNG"),
        (["--url", "http://127.0.0.1:9", "--json", "/nonexistent/x.json"], 5, "cannot be written"),
        (["--url", "http://127.0.0.1:9"], 4, "Nothing listens"),
        (["--compare", "/nonexistent/a", "/nonexistent/b"], 5, "cannot be read"),
    ],
)
def test_wrong_use_is_one_sentence_before_anything_is_sent(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == code
    output, errors = capsys.readouterr()
    assert output == ""
    assert said in errors
    assert len(errors.splitlines()) == 1
