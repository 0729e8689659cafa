"""Memory planned from headers alone, against what was measured, and the sense of what `auto` comes to.

Measured on 2026-11-23 with vLLM 0.26.0 on an H100 and an H200 (docs/measurements.md).
"""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.checkpoint.cache_layout import CacheLayout, Group, cache_layout
from gemma_backend.checkpoint.fit import LEFT_OUT, SHORTEST, Card, Flag, Plan, fit
from gemma_backend.checkpoint.header import Checkpoint
from gemma_backend.checkpoint.memory import CUDA_CONTEXT, GIB, MIB, graph_sizes, need, serving
from gemma_backend.config.profiles import load_profile
from stubs.full_size import expanded

H200, H100 = Card(round(139.8 * GIB), round(139.8 * GIB)), Card(round(79.18 * GIB), round(79.18 * GIB))
PUBLISHED: dict[str, Flag] = {"kv-cache-dtype": "fp8", "gpu-memory-utilization": 0.30, "max-model-len": 131_072}
WITHIN = 0.03


@pytest.fixture(scope="module")
def nvfp4(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return expanded("e2b-nvfp4a16", tmp_path_factory.mktemp("nvfp4"))


@pytest.fixture(scope="module")
def bf16(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return expanded("e2b-bf16", tmp_path_factory.mktemp("bf16"))


def gib(number: float) -> Card:
    """A card with that much memory, all of it free."""
    return Card(round(number * GIB), round(number * GIB))


def small(checkpoint: Checkpoint, card: Card) -> Plan:
    """How `small-gpu` would be served."""
    profile = load_profile("small-gpu")
    return fit(checkpoint, profile.flags, card, table_on_host=True, media=profile.media)


def test_weights_are_what_vllm_says_that_loading_took(nvfp4: Checkpoint, bf16: Checkpoint) -> None:
    how = serving(PUBLISHED, device="cuda", total=H200.total)
    assert need(nvfp4, how).weights / GIB == pytest.approx(7.37, rel=WITHIN)
    assert need(bf16, how).weights / GIB == pytest.approx(9.9, rel=WITHIN)
    on_host = need(nvfp4, dataclasses.replace(how, table_on_host=True))
    assert on_host.weights / GIB == pytest.approx(3.00, rel=WITHIN)
    assert on_host.host_table == 262_144 * 35 * 256 * 2
    without_towers = need(nvfp4, dataclasses.replace(how, towers=False))
    assert (need(nvfp4, how).weights - without_towers.weights) / GIB == pytest.approx(0.9, rel=WITHIN)


@pytest.mark.parametrize(("nbytes", "tokens"), [(12.57, 3_492_277), (33.28, 9_245_496)])
def test_the_kv_cache_holds_what_vllm_says(nvfp4: Checkpoint, nbytes: float, tokens: int) -> None:
    layout = cache_layout(nvfp4.config, 1.0)
    assert layout is not None
    in_flight = serving(PUBLISHED, device="cuda", total=H200.total).in_flight
    # What is printed as 12.57 GiB may be 0.005 more or less.
    assert layout.tokens(round(nbytes * GIB), 131_072, in_flight) == pytest.approx(tokens, rel=0.0005)


@pytest.mark.parametrize(("name", "card", "cache"), [("nvfp4", H200, 33.28), ("bf16", H100, 12.57)])
def test_a_share_leaves_as_much_for_the_kv_cache_as_vllm_finds(
    name: str, card: Card, cache: float, request: pytest.FixtureRequest
) -> None:
    plan = fit(request.getfixturevalue(name), PUBLISHED, card)
    assert plan.fits
    assert plan.cache / GIB == pytest.approx(cache, rel=WITHIN)
    assert not plan.flags


def test_more_is_taken_than_the_share_asks_for(nvfp4: Checkpoint) -> None:
    plan = fit(nvfp4, PUBLISHED, H200)
    assert plan.asked / GIB == pytest.approx(41.94, rel=0.001)
    assert plan.peak / GIB == pytest.approx(45.35, rel=WITHIN)


def test_on_another_card_as_much_is_in_use_from_the_start(nvfp4: Checkpoint) -> None:
    plan = fit(nvfp4, PUBLISHED, H100)
    # The same when ready and under load: the sampler's warm-up leaves more with torch than the longest step takes.
    assert plan.at_start / MIB == pytest.approx(27_823, rel=WITHIN)
    assert plan.peak / MIB == pytest.approx(27_823, rel=WITHIN)
    assert plan.cache_tokens == pytest.approx(4_193_693, rel=WITHIN)


def test_the_table_in_host_memory_at_the_share_that_was_tried(nvfp4: Checkpoint) -> None:
    flags = PUBLISHED | {"gpu-memory-utilization": 0.045, "max-num-seqs": 8}
    plan = fit(nvfp4, flags, H200, table_on_host=True)
    assert plan.fits
    assert plan.context == 131_072
    assert plan.at_start / MIB == pytest.approx(6319, rel=WITHIN)
    assert plan.peak / MIB == pytest.approx(7583, rel=WITHIN)
    assert plan.cache_tokens == pytest.approx(615_712, rel=WITHIN)


@pytest.mark.parametrize(("sequences", "sizes"), [(1024, 51), (256, 51), (8, 5), (1, 2)])
def test_graphs_are_captured_for_as_many_sizes_as_vllm_lists(sequences: int, sizes: int) -> None:
    assert graph_sizes(sequences) == sizes


@pytest.mark.parametrize(
    ("free", "context", "towers"), [(4, 131_072, False), (6, 131_072, True), (8, 131_072, True), (3.7, 90_000, False)]
)
def test_small_cards(nvfp4: Checkpoint, free: float, context: int, towers: bool) -> None:
    plan = small(nvfp4, gib(free))
    assert plan.fits
    assert plan.context >= context
    assert plan.peak <= free * GIB
    assert plan.how.towers == towers
    assert (LEFT_OUT in plan.notes) is not towers
    assert ("language-model-only" in plan.flags) is not towers


def test_what_fits_nowhere_says_how_much_it_needs(nvfp4: Checkpoint) -> None:
    plan = small(nvfp4, gib(2))
    assert not plan.fits
    assert plan.longest == 0
    assert plan.verdict.startswith("It does not fit: ")
    assert "2.0 GiB are free" in plan.verdict
    assert "small-gpu" not in plan.verdict
    assert "as the profile small-gpu does" in fit(nvfp4, load_profile("workstation").flags, gib(8)).verdict


def test_of_what_fits_nowhere_the_least_is_told_and_whether_room_can_be_made(nvfp4: Checkpoint) -> None:
    plan = small(nvfp4, gib(3))
    assert not plan.fits
    # With the towers it would be 0.9 GiB more.
    assert plan.verdict == "It does not fit: 3.2 GiB are needed and 3.0 GiB are free: a larger card is needed."
    assert plan.notes == ("That is without pictures and sound already.",)
    assert "close other programs" in small(nvfp4, Card(8 * GIB, 3 * GIB)).verdict


def test_a_context_beyond_the_models_own_is_refused_as_vllm_does(nvfp4: Checkpoint) -> None:
    plan = fit(nvfp4, {**load_profile("workstation").flags, "max-model-len": 131_073}, H200)
    assert not plan.fits
    assert "was made for 131,072 tokens" in plan.verdict


def test_twelve_gib_are_enough_for_the_workstation_and_a_share_of_thirty_per_cent_is_not(nvfp4: Checkpoint) -> None:
    plan = fit(nvfp4, load_profile("workstation").flags, gib(12))
    assert plan.fits
    assert plan.context == 131_072
    refused = fit(nvfp4, PUBLISHED, gib(12))
    assert not refused.fits
    assert 'set gpu-memory-utilization = "auto"' in refused.verdict


def test_a_large_card_gives_the_published_share_and_no_more(nvfp4: Checkpoint) -> None:
    plan = fit(nvfp4, load_profile("workstation").flags, H200)
    assert plan.peak == pytest.approx(0.30 * H200.total, rel=0.01)


def test_a_context_that_does_not_fit_names_the_longest_that_does(nvfp4: Checkpoint) -> None:
    flags = {**load_profile("workstation").flags, "max-model-len": 131_072}
    card = gib(9.65)
    plan = fit(nvfp4, flags, card)
    assert not plan.fits
    longest = int(plan.verdict.partition("longest that fits is ")[2].partition(":")[0].replace(",", ""))
    assert SHORTEST < longest < 131_072
    assert fit(nvfp4, {**flags, "max-model-len": longest}, card).fits


def test_a_start_that_vllm_would_refuse_is_foreseen(nvfp4: Checkpoint) -> None:
    plan = fit(nvfp4, PUBLISHED, Card(H200.total, 30 * GIB))
    assert not plan.fits
    assert "vLLM would refuse to start" in plan.verdict


def test_unified_memory_leaves_room_for_the_system_and_says_that_nobody_tried(nvfp4: Checkpoint) -> None:
    spark = Card(round(121.7 * GIB), 110 * GIB, "NVIDIA GB10", unified=True, large=False)
    plan = fit(nvfp4, load_profile("dgx-spark").flags, spark)
    assert plan.fits
    assert plan.peak <= 0.10 * spark.total + MIB
    assert plan.flags["kv-cache-memory-bytes"] == plan.cache
    assert "never run" in plan.notes[0]
    assert not fit(nvfp4, load_profile("dgx-spark").flags, dataclasses.replace(spark, free=12 * GIB)).fits
    # There is no second memory to keep the table in.
    table = fit(nvfp4, load_profile("dgx-spark").flags, spark, table_on_host=True).need
    assert (table.weights, table.host_table) == (plan.need.weights, 0)


def test_host_memory_for_the_table_is_looked_at(nvfp4: Checkpoint) -> None:
    profile = load_profile("small-gpu")
    plan = fit(nvfp4, profile.flags, gib(8), table_on_host=True, host_free=2 * GIB)
    assert not plan.fits
    assert "4.4 GiB of host memory and 2.0 GiB are free" in plan.verdict


def test_a_config_that_says_nothing_is_a_sentence(nvfp4: Checkpoint) -> None:
    plan = fit(dataclasses.replace(nvfp4, config={}), PUBLISHED, H200)
    assert not plan.fits
    assert plan.verdict.startswith("The config does not say")


@given(
    free=st.floats(1, 160),
    spare=st.floats(0, 40),
    sequences=st.integers(1, 2048),
    tokens=st.sampled_from([512, 2048, 8192, 16_384]),
    media=st.sampled_from(["on", "off", "auto"]),
    on_host=st.booleans(),
    wanted=st.one_of(st.just("auto"), st.integers(1, 131_072)),
)
def test_whatever_is_planned_holds_together(
    nvfp4: Checkpoint,
    free: float,
    spare: float,
    sequences: int,
    tokens: int,
    media: str,
    on_host: bool,
    wanted: int | str,
) -> None:
    flags: dict[str, Flag] = {
        "gpu-memory-utilization": "auto",
        "max-model-len": wanted,
        "max-num-seqs": sequences,
        "max-num-batched-tokens": tokens,
    }
    card = Card(round((free + spare) * GIB), round(free * GIB))
    plan = fit(nvfp4, flags, card, table_on_host=on_host, media=media)  # type: ignore[arg-type]
    assert plan.verdict.endswith(".")
    if not plan.fits:
        return
    layout = plan.need.layout
    assert layout is not None
    assert plan.peak <= card.free
    assert layout.nbytes(plan.context, plan.how.in_flight) <= plan.cache
    # The gate at which vLLM refuses to start.
    assert float(plan.flags["gpu-memory-utilization"]) * card.total <= card.free - CUDA_CONTEXT
    assert 0 < float(plan.flags["gpu-memory-utilization"]) <= 1
    assert wanted == "auto" or plan.context == wanted


@given(
    groups=st.lists(
        st.builds(Group, st.sampled_from([16, 32, 128]), st.one_of(st.none(), st.integers(1, 4096))), min_size=1
    ),
    nbytes=st.integers(0, 1 << 34),
    limit=st.integers(1, 1 << 18),
    in_flight=st.sampled_from([4096, 16_384]),
)
def test_the_longest_context_is_the_longest(groups: list[Group], nbytes: int, limit: int, in_flight: int) -> None:
    layout = CacheLayout(49_152, tuple(groups))
    longest = layout.longest(nbytes, limit, in_flight)
    assert longest == 0 or layout.nbytes(longest, in_flight) <= nbytes
    assert longest == limit or layout.nbytes(longest + 1, in_flight) > nbytes


def test_layers_are_grouped_as_vllm_does(nvfp4: Checkpoint) -> None:
    layout = cache_layout(nvfp4.config, 1.0)
    # 12 sliding and 3 full layers keep keys and values; the other 20 read theirs. Blocks of sliding layers are as many
    # bytes as those of full ones, so twice as many tokens.
    assert layout == CacheLayout(3 * 16 * 2 * 512, (*[Group(32, 512)] * 4, Group(16, None)))
    text = {"num_key_value_heads": 2, "head_dim": 64, "num_hidden_layers": 5}
    assert cache_layout(text, 2.0) == CacheLayout(5 * 16 * 2 * 2 * 64 * 2, (Group(16, None),))
    five_to_four = {**text, "num_hidden_layers": 9, "sliding_window": 100}
    five_to_four["layer_types"] = ["sliding_attention"] * 5 + ["full_attention"] * 4
    # Nearly as many of one kind as of the other: one group each, the smaller one padded.
    assert cache_layout(five_to_four, 2.0) == CacheLayout(5 * 16 * 512, (Group(16, 100), Group(16, None)))


def test_on_a_cpu_weights_are_unpacked_and_the_cache_is_as_asked(nvfp4: Checkpoint, bf16: Checkpoint) -> None:
    host = Card(32 * GIB, 24 * GIB, "the host")
    plans = [fit(one, {"max-model-len": 8192}, host, device="cpu", cache_bytes=GIB) for one in (nvfp4, bf16)]
    assert all(plan.fits for plan in plans)
    assert plans[0].need.weights == pytest.approx(plans[1].need.weights, rel=0.01)
    assert plans[0].cache == GIB
    assert not fit(bf16, {"max-model-len": 8192}, Card(16 * GIB, 8 * GIB), device="cpu", cache_bytes=GIB).fits
