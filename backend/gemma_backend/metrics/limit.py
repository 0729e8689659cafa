"""The fastest decode that a device's memory allows, and how near an engine comes to it.

At batch 1 every weight of the language model is read once for each token, so memory bandwidth over the bytes read is
a bound that no kernel can beat.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gemma_backend.checkpoint.gemma import attention_layers
from gemma_backend.checkpoint.header import Checkpoint, Tensor

# Read while a picture or a clip is taken in, not for each token.
_TOWERS = re.compile(r"(^|\.)(vision_tower|audio_tower|embed_vision|embed_audio|multi_modal_projector)\.")
_PER_LAYER_TABLE = "embed_tokens_per_layer.weight"
_EMBEDDINGS = re.compile(r"(?<!_per_layer)(^|\.)embed_tokens\.weight$")
_HEAD = re.compile(r"(^|\.)lm_head\.")


@dataclass(frozen=True, slots=True)
class TokenBytes:
    """Bytes that one generated token makes a device read.

    `weights` are those of the language model as stored, `row` the token's row of the per-layer embedding table (over
    the bus to the host if `row_from_host`), `cache` the keys and values of the context so far.
    """

    weights: int
    row: int
    cache: int
    row_from_host: bool = False

    @property
    def device(self) -> int:
        """What the device reads from its own memory."""
        return self.weights + self.cache + (0 if self.row_from_host else self.row)


def token_bytes(
    checkpoint: Checkpoint,
    *,
    context: int = 0,
    cache_width: float = 2.0,
    table_on_host: bool = False,
    unpacked: bool = False,
) -> TokenBytes:
    """Return what a token reads at batch 1 after `context` tokens; `cache_width` is 2 for BF16 and 1 for fp8.

    Holds where weights stay as they are stored; `unpacked` is for an engine that turns NVFP4 into BF16 when it loads,
    as the CPU one does.
    """
    tensors = checkpoint.tensors
    has_head = any(_HEAD.search(name) for name in tensors)
    weights = row = 0
    for name, tensor in tensors.items():
        if _TOWERS.search(name):
            continue
        if name.endswith(_PER_LAYER_TABLE):
            row += _one_row(tensor)
        elif has_head and _EMBEDDINGS.search(name):
            weights += _one_row(tensor)
        else:
            # With tied embeddings the whole table is read, as the last layer's weight.
            weights += unpacked_bytes(tensor) if unpacked else tensor.nbytes
    return TokenBytes(weights, row, cache_bytes(checkpoint.config, context, cache_width), table_on_host)


def unpacked_bytes(tensor: Tensor) -> int:
    """Return the bytes of a tensor once NVFP4 was turned into BF16: two elements were in each byte, scales are gone."""
    if tensor.name.endswith(".weight") and tensor.dtype == "U8":
        return tensor.numel * 2 * 2
    if tensor.name.endswith((".weight_scale", ".weight_scale_2", ".input_scale")):
        return 0
    return tensor.nbytes


def _one_row(tensor: Tensor) -> int:
    return tensor.nbytes // tensor.shape[0] if tensor.shape and tensor.shape[0] else 0


def cache_bytes(config: Mapping[str, Any], context: int, width: float = 2.0) -> int:
    """Return the bytes of keys and values that one token reads after `context` tokens.

    Sliding layers read no more than their window; layers that share another one's cache read it again. 0 where the
    config does not say how the layers attend.
    """
    read = (min(context, layer.window or context) * 2 * layer.width for layer in attention_layers(config))
    return round(sum(read) * width) if context > 0 else 0


def fastest(read: TokenBytes, bandwidth: float, streams: int = 1) -> float:
    """Return the tokens a second that memory of `bandwidth` bytes a second allows for `streams` of such a context.

    The weights are read once for a step of all streams, the cache for each of them.
    """
    return streams * bandwidth / step_bytes(read, streams)


def step_bytes(read: TokenBytes, streams: int = 1) -> int:
    """Return what the device reads from its own memory for one step of `streams`."""
    return read.weights + streams * (read.device - read.weights)


def explained(
    rate: float | None,
    read: TokenBytes,
    bandwidth: float,
    device: str,
    streams: int = 1,
    *,
    measured: bool = False,
    speculating: bool = False,
) -> str:
    """Say in one sentence how near `rate` (generated tokens a second) comes to what `device` allows.

    Where tokens are speculated, one reading of the weights can give several: then the limit is that without.
    """
    limit = fastest(read, bandwidth, streams)
    size = step_bytes(read, streams)
    amount = f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
    speed = f"{bandwidth / 1e9:,.0f} GB/s{' (measured)' if measured else ''}"
    whom = "one stream" if streams == 1 else f"{streams} streams"
    if speculating:
        whom += " without speculation"
    each = "each token reads" if streams == 1 else "a step of all reads"
    host = f", and {read.row / 1e3:.1f} kB over the bus" if read.row_from_host and read.row else ""
    if rate is None or rate <= 0:
        return f"{device} can do {limit:,.0f} tok/s for {whom} at most: {each} {amount} at {speed}{host}."
    return (
        f"{rate:,.0f} tok/s is {rate / limit * 100:.0f} % of {limit:,.0f} tok/s, the most that {device} can do for "
        f"{whom}: {each} {amount} at {speed}{host}."
    )
