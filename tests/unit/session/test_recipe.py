"""The request as a program: run, it sends exactly what the studio would send, and it never holds the key."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from gemma_backend.chat.exchange import Request
from gemma_backend.chat.request import completion_body, raw_body
from gemma_backend.endpoint.address import parse_url
from gemma_backend.session.recipe import Language, recipe
from gemma_backend.types import Endpoint, Options, Sampling, TextPart
from stubs.openai_server import OpenAIServer, Reply
from stubs.parts import clip, image

PROMPT = "  It's \"so\" $HOME `x`\nJSON\n\\ 'é🙂\x00\u2028 \t"
BODY = completion_body(
    PROMPT, Sampling(max_tokens=5, top_k=3, stop=("\n", "'")), "stub/model", options=Options(logprobs=2)
)


async def ran(language: Language, endpoint: Endpoint, request: Request, folder: Path) -> str:
    """What the program prints."""
    program = recipe(language, endpoint, request)
    assert "sesame" not in program
    file = folder / f"program.{language}"
    file.write_text(program, encoding="utf-8")
    words = ["bash", str(file)] if language == "curl" else [sys.executable, str(file)]
    process = await asyncio.create_subprocess_exec(
        *words,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "OPENAI_API_KEY": "sesame"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    return out.decode()


@pytest.mark.parametrize("language", ["curl", "python"])
async def test_it_sends_the_same_body(language: Language, tmp_path: Path) -> None:
    async with OpenAIServer(reply=Reply(" and on"), key="sesame") as server:
        endpoint = parse_url(server.url, api_key="sesame")
        out = await ran(language, endpoint, Request(False, BODY), tmp_path)
        sent = server.prompts[-1]
    assert sent.json == BODY
    assert sent.headers["authorization"] == "Bearer sesame"
    assert " on" in out


@pytest.mark.parametrize("language", ["curl", "python"])
async def test_pictures_and_clips_go_along_over_a_socket(language: Language, tmp_path: Path) -> None:
    parts = [TextPart("A "), image(), TextPart(" and "), clip()]
    body = raw_body(parts, Sampling(), "stub/model", template="{{ messages }}")
    async with OpenAIServer(reply=Reply(" and on"), socket=str(tmp_path / "a socket"), trusts_templates=True) as server:
        out = await ran(language, parse_url(server.url), Request(True, body), tmp_path)
        assert server.prompts[-1].json == body
    assert " on" in out
    assert "authorization" not in server.prompts[-1].headers or language == "python"


def test_certificates_are_named() -> None:
    trusted = Endpoint("https://host", ca_file="/my ca.pem")
    careless = Endpoint("https://host", verify=False)
    request = Request(False, BODY)
    assert "--cacert '/my ca.pem'" in recipe("curl", trusted, request)
    assert "--insecure" in recipe("curl", careless, request)
    for language, endpoint in (("python", trusted), ("python", careless)):
        compile(recipe(language, endpoint, request), "program", "exec")  # type: ignore[arg-type]
    assert "cafile='/my ca.pem'" in recipe("python", trusted, request)
    assert "verify=False" in recipe("python", careless, request)
