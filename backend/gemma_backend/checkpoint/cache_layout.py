"""How vLLM lays out the KV cache of a model with sliding and full attention, and what fits into how many bytes.

The arithmetic is that of vLLM's `v1/core/kv_cache_utils.py` and `v1/kv_cache_interface.py` (0.26 to 0.33): all layers
get pages of one size, the layers of each kind are split into groups of as many layers as the rarer kind has, and a
block is one page in each layer of a group. A request takes blocks from every group; in a sliding group only for its
window and for what is being computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gemma_backend.checkpoint.gemma import attention_layers

# vLLM's block on a GPU, in tokens (config/cache.py); 128 on a CPU (platforms/cpu.py).
GPU_BLOCK = 16
CPU_BLOCK = 128
# With asynchronous scheduling, the default but on CPUs, two batches are in flight (config/vllm.py,
# `max_concurrent_batches`).
BATCHES_IN_FLIGHT = 2
# Below this ratio of layers of the more and the less frequent kind the larger number becomes the size of a group.
_NEARLY_EQUAL = 1.5


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that share a block table: `block` tokens a block; `window` tokens are kept, None for all."""

    block: int
    window: int | None


@dataclass(frozen=True, slots=True)
class CacheLayout:
    """Blocks of `block_bytes` bytes each, taken by a request from every group."""

    block_bytes: int
    groups: tuple[Group, ...]

    def blocks(self, context: int, in_flight: int) -> int:
        """Blocks that one request of `context` tokens takes at most, `in_flight` tokens being computed at a time."""
        return sum(_blocks(group, context, in_flight) for group in self.groups)

    def nbytes(self, context: int, in_flight: int) -> int:
        """Bytes that one request of `context` tokens takes at most."""
        return self.blocks(context, in_flight) * self.block_bytes

    def tokens(self, nbytes: int, context: int, in_flight: int) -> int:
        """What vLLM calls the size of the KV cache: tokens in all requests of `context` tokens that fit at once."""
        return int((nbytes // self.block_bytes) / self.blocks(context, in_flight) * context) if self.groups else 0

    def longest(self, nbytes: int, limit: int, in_flight: int) -> int:
        """The longest context up to `limit` of which one request fits, 0 if none does."""
        low, high = 0, limit
        while low < high:
            middle = (low + high + 1) // 2
            if self.nbytes(middle, in_flight) <= nbytes:
                low = middle
            else:
                high = middle - 1
        return low


def cache_layout(config: Mapping[str, Any], width: float, block: int = GPU_BLOCK) -> CacheLayout | None:
    """The layout for a model's config.json, `width` bytes a number; None where the config lacks what it takes.

    Layers that read another layer's keys and values have none of their own.
    """
    # Page bytes and window of each kind of layer, and how many there are.
    found: dict[tuple[int, int | None], int] = {}
    for layer in attention_layers(config):
        if layer.owns:
            key = (round(2 * block * layer.width * width), layer.window)
            found[key] = found.get(key, 0) + 1
    if not found:
        return None
    largest = max(page for page, _ in found)
    fewest, most = min(found.values()), max(found.values())
    layers = most if most < fewest * _NEARLY_EQUAL else fewest
    groups = [
        Group(block * (largest // page) if largest % page == 0 else block, kept)
        for (page, kept), number in found.items()
        for _ in range(-(-number // layers))
    ]
    return CacheLayout(largest * layers, tuple(groups))


def _blocks(group: Group, context: int, in_flight: int) -> int:
    if group.window is None:
        return -(-context // group.block)
    # One more, since a window need not begin where a block does.
    return -(-min(group.window - 1 + in_flight, context) // group.block) + 1
