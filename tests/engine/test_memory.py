"""Memory planned for the bundled checkpoint against what a real engine on the CPU takes."""

from __future__ import annotations

import re

import pytest

from gemma_backend.checkpoint.fit import Card
from gemma_backend.checkpoint.header import read_checkpoint
from gemma_backend.metrics.host import ProcessTree, host_memory
from gemma_backend.session.planning import planned_on_cpu
from stubs.real_engine import BackgroundEngine

pytestmark = pytest.mark.engine


def test_the_plan_is_what_the_engine_takes(real_engine: BackgroundEngine) -> None:
    memory = host_memory()
    assert memory is not None
    card = Card(memory.total, memory.available)
    plan = planned_on_cpu(real_engine.profile, read_checkpoint(real_engine.checkpoint), card)
    assert plan.fits
    assert real_engine.engine.log is not None
    said = re.search(r"KV cache size: ([\d,]+) tokens", real_engine.engine.log.read_text("utf-8", "replace"))
    assert said is not None
    assert plan.cache_tokens == pytest.approx(int(said[1].replace(",", "")), rel=0.03)
    assert real_engine.engine.pid is not None
    taken = ProcessTree(real_engine.engine.pid).look()
    assert taken is not None
    print(f"planned {plan.at_start >> 20} MiB, {plan.cache >> 20} of them KV cache; taken {taken[0] >> 20} MiB")
    # Pages of the KV cache count only once they are written to.
    assert plan.at_start - plan.cache == pytest.approx(taken[0], rel=0.25)
