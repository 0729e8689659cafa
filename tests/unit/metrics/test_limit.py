"""The limit of memory bandwidth, against figures worked out from the checkpoint's shapes and measured ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from gemma_backend.checkpoint.header import Checkpoint
from gemma_backend.metrics.bandwidth import bandwidth_of
from gemma_backend.metrics.limit import cache_bytes, explained, fastest, token_bytes
from stubs.full_size import expanded


@pytest.mark.parametrize(("name", "gigabytes"), [("e2b-bf16", 4.56), ("e2b-nvfp4a16", 1.86)])
def test_bytes_a_token_reads(tmp_path: Path, name: str, gigabytes: float) -> None:
    read = token_bytes(expanded(name, tmp_path))
    assert read.device / 1e9 == pytest.approx(gigabytes, rel=0.02)
    assert read.row == 35 * 256 * 2
    assert read.cache == 0


def test_the_published_device(tmp_path: Path) -> None:
    read = token_bytes(expanded("e2b-nvfp4a16", tmp_path))
    spark = bandwidth_of("NVIDIA GB10")
    assert spark is not None
    assert fastest(read, spark) == pytest.approx(147, rel=0.02)
    assert fastest(read, 3.0e12) == pytest.approx(1612, rel=0.02)
    assert explained(90, read, spark, "this DGX Spark") == (
        "90 tok/s is 61 % of 147 tok/s, the most that this DGX Spark can do for one stream: each token reads 1.86 GB "
        "at 273 GB/s."
    )


def test_the_cache_by_hand(tmp_path: Path) -> None:
    config = expanded("e2b-bf16", tmp_path).config
    # 28 sliding layers of 512 tokens at most, 7 full ones; keys and values of one head, 256 and 512 wide, 2 bytes.
    assert cache_bytes(config, 100) == (28 * 100 * 2 * 256 + 7 * 100 * 2 * 512) * 2
    assert cache_bytes(config, 8192) == (28 * 512 * 2 * 256 + 7 * 8192 * 2 * 512) * 2
    assert cache_bytes(config, 8192, 1.0) * 2 == cache_bytes(config, 8192)
    assert cache_bytes({}, 8192) == 0


def test_a_table_in_host_memory_is_not_read_from_the_device(tmp_path: Path) -> None:
    checkpoint = expanded("e2b-nvfp4a16", tmp_path)
    here, there = token_bytes(checkpoint), token_bytes(checkpoint, table_on_host=True)
    assert here.device - there.device == 35 * 256 * 2


def test_a_head_of_its_own_makes_the_embeddings_one_row(tmp_path: Path) -> None:
    whole = expanded("e2b-bf16", tmp_path)
    embeddings = whole.tensors["model.language_model.embed_tokens.weight"]
    untied = Checkpoint(whole.folder, whole.config, {**whole.tensors, "lm_head.weight": embeddings})
    assert token_bytes(untied).weights - token_bytes(whole).weights == 1536 * 2


def test_only_whole_names_have_a_bandwidth() -> None:
    assert bandwidth_of("NVIDIA GeForce RTX 4090") == 1008e9
    assert bandwidth_of("NVIDIA GeForce RTX 4090 Laptop GPU") is None
    assert bandwidth_of("NVIDIA H100 80GB HBM3") == 3350e9
    assert bandwidth_of("") is None
