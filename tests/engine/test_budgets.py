"""What pictures and clips cost, on a real engine: the budget that was asked for, and the tokens that we tell."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from gemma_assets import path as asset
from gemma_backend.chat.stream import stream_chat
from gemma_backend.media import clip, picture
from gemma_backend.media.load import load, load_picture
from gemma_backend.types import AudioPart, Endpoint, Failed, ImagePart, Part, Sampling, TextPart, Turn, Usage

MODEL = "gemma-tui/pocket"
POCKET_BUDGET = 70
"""`vision_soft_tokens_per_image` in the pocket checkpoint's config.json; the full-size one has 280."""

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


async def prompt_tokens(endpoint: Endpoint, *parts: Part) -> int:
    """The tokens of the prompt as the engine counts them."""
    used = 0
    turns = [Turn("user", (*parts, TextPart("What is it?")))]
    async for event in stream_chat(endpoint, MODEL, turns, Sampling(max_tokens=1, temperature=0)):
        assert not isinstance(event, Failed), event.message
        if isinstance(event, Usage):
            used = event.prompt_tokens
    return used


async def test_a_picture_costs_what_is_told_at_each_budget(real_endpoint: Endpoint) -> None:
    part = load(Path(asset("samples", "scene.png")))
    assert isinstance(part, ImagePart)
    own = await prompt_tokens(real_endpoint, part)
    told = picture.tokens(part.width, part.height, POCKET_BUDGET)
    for budget in picture.BUDGETS:
        used = await prompt_tokens(real_endpoint, replace(part, soft_tokens=budget))
        assert used - own == picture.tokens(part.width, part.height, budget) - told


@pytest.mark.parametrize("size", [(3, 900), (1, 2000), (4000, 30)])
async def test_a_thin_picture_costs_what_is_told_and_harms_nobody(
    real_endpoint: Endpoint, size: tuple[int, int]
) -> None:
    scene = load(Path(asset("samples", "scene.png")))
    assert isinstance(scene, ImagePart)
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    thin = load_picture(buffer.getvalue(), "thin.png")
    difference = await prompt_tokens(real_endpoint, thin) - await prompt_tokens(real_endpoint, scene)
    told = [picture.tokens(part.width, part.height, POCKET_BUDGET) for part in (thin, scene)]
    assert difference == told[0] - told[1]


async def test_clips_cost_what_is_told_also_two_at_once(real_endpoint: Endpoint) -> None:
    path = Path(asset("samples", "words.wav"))
    whole, half = load(path), load(path, seconds=1.5)
    assert isinstance(whole, AudioPart)
    assert isinstance(half, AudioPart)
    one, other = await prompt_tokens(real_endpoint, whole), await prompt_tokens(real_endpoint, half)
    assert one - other == clip.soft_tokens(whole.seconds) - clip.soft_tokens(half.seconds)
    both = await prompt_tokens(real_endpoint, whole, half)
    assert both > one + clip.soft_tokens(half.seconds) - 1
