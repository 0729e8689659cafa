"""How much memory a checkpoint takes when vLLM serves it, part by part, from its headers and the flags alone.

What can be derived is derived: weights, buffers, the KV cache. What vLLM, CUDA and torch take besides was measured with
vLLM 0.26 on an H100 and an H200 (docs/measurements.md) and is scaled with what it depends on; those constants stand
here together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gemma_backend.checkpoint.cache_layout import BATCHES_IN_FLIGHT, CPU_BLOCK, GPU_BLOCK, CacheLayout, cache_layout
from gemma_backend.checkpoint.gemma import unused_tensors, whole_number
from gemma_backend.checkpoint.header import Checkpoint
from gemma_backend.checkpoint.parts import is_packed, is_scale, part_of

MIB = 1 << 20
GIB = 1 << 30
# Used on the card before the first tensor is made: 139.80 - 139.29 GiB on the H200, 79.18 - 78.66 on the H100.
CUDA_CONTEXT = round(0.51 * GIB)
# vLLM's "non-torch memory" after profiling: libraries' workspaces.
LIBRARIES = round(0.23 * GIB)
# Repacked scales and workspaces of the kernels: what "Model loading took" is above weights and buffers.
KERNEL_BUFFERS = round(0.05 * GIB)
# 51 sizes took 0.56 GiB, 5 sizes 0.07.
GRAPHS_FIXED = round(0.02 * GIB)
GRAPHS_PER_SIZE = round(10.9 * MIB)
# For each token of a step, in copies of the per-layer inputs, of the widest hidden layer and of the hidden state: what
# torch holds after the longest steps (1.30 GiB for 8,192 tokens of E2B), and the share of it that vLLM's profiling run
# sees (0.845 GiB).
COPIES_PER_LAYER_INPUTS = 6
COPIES_WIDEST = 2
COPIES_HIDDEN = 3
PROFILED_SHARE = 0.65
# Warming up the sampler leaves as much with torch as 3.4 FP32 copies of the logits of all sequences (3.4 GiB for
# 1,024), which later steps use; profiling saw 0.215 GiB of that.
LOGITS_BYTES = 13.6
PROFILED_LOGITS = 0.84
# vLLM takes larger steps on large cards (engine/arg_utils.py, `get_batch_defaults`).
LARGE_CARD = 70 * GIB
# What all processes of an engine hold besides weights and KV cache: 2.9 GB in all with a tiny model and vLLM 0.32.
CPU_PROCESSES = round(2.5 * GIB)
_WIDTHS = {"fp8": 1.0, "fp8_e4m3": 1.0, "fp8_e5m2": 1.0, "float32": 4.0}


@dataclass(frozen=True, slots=True)
class Serving:
    """The flags that memory depends on; `context` is in tokens, None for the longest that fits.

    `batched_tokens` is the most tokens of one step, `sequences` the most at a time, `cache_width` bytes a number of
    the KV cache, `graphs` how many CUDA graphs are captured.
    """

    device: Literal["cuda", "cpu"] = "cuda"
    context: int | None = None
    batched_tokens: int = 2048
    sequences: int = 256
    cache_width: float = 2.0
    graphs: int = 51
    table_on_host: bool = False
    towers: bool = True

    @property
    def in_flight(self) -> int:
        """Tokens that are being computed at a time."""
        return (1 if self.device == "cpu" else BATCHES_IN_FLIGHT) * self.batched_tokens


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that serving takes without the KV cache, and how that cache is laid out.

    All are on the device but `host_table`. `profiled` is what vLLM's own profiling finds of `activations` and
    `sampling`; the rest of them comes on top of what it was asked to take.
    """

    weights: int
    host_table: int
    context: int
    libraries: int
    graphs: int
    activations: int
    sampling: int
    profiled: int
    layout: CacheLayout | None

    @property
    def fixed(self) -> int:
        """Everything on the device but the KV cache, at the busiest moment."""
        return self.at_start + self.more

    @property
    def more(self) -> int:
        """What the longest steps take beyond what is held since the start."""
        return max(0, self.activations - self.sampling)

    @property
    def at_start(self) -> int:
        """Everything on the device but the KV cache, before the first request."""
        return self.weights + self.context + self.libraries + self.graphs + self.sampling


def serving(flags: Mapping[str, object], *, device: Literal["cuda", "cpu"], total: int, large: bool = True) -> Serving:
    """What of vLLM's flags memory depends on, with vLLM's defaults for a card of `total` bytes.

    `large` is false for chips that vLLM keeps on small steps whatever their memory (A100, GB10).
    """
    big = device == "cuda" and total >= LARGE_CARD and large
    sequences = _whole(flags.get("max-num-seqs")) or (1024 if big else 128 if device == "cpu" else 256)
    wanted = flags.get("max-model-len")
    eager = flags.get("enforce-eager") is True or device == "cpu"
    return Serving(
        device=device,
        context=_whole(wanted),
        batched_tokens=_whole(flags.get("max-num-batched-tokens")) or (8192 if big else 2048),
        sequences=sequences,
        cache_width=_WIDTHS.get(str(flags.get("kv-cache-dtype", "auto")), 2.0),
        graphs=0 if eager else graph_sizes(sequences),
        towers=flags.get("language-model-only") is not True,
    )


def graph_sizes(sequences: int) -> int:
    """How many sizes of CUDA graphs vLLM captures: 1, 2, 4, every 8 up to 256, every 16 up to 512 or 2 x sequences."""
    most = min(2 * sequences, 512)
    sizes = {1, 2, 4} | set(range(8, 256, 8)) | set(range(256, 513, 16))
    return sum(size <= most for size in sizes)


def need(checkpoint: Checkpoint, how: Serving) -> Need:
    """What serving `checkpoint` takes; the layout is None where its config does not say how it attends."""
    text = checkpoint.text
    weights, table = _weights(checkpoint, how)
    block = CPU_BLOCK if how.device == "cpu" else GPU_BLOCK
    layout = cache_layout(checkpoint.config, how.cache_width, block)
    weights += _buffers(text, how)
    if how.device == "cpu":
        return Need(weights, 0, CPU_PROCESSES, 0, 0, 0, 0, 0, layout)
    per_layer_inputs = whole_number(text, "hidden_size_per_layer_input") * whole_number(text, "num_hidden_layers")
    widest = whole_number(text, "intermediate_size") * (2 if text.get("use_double_wide_mlp") else 1)
    per_token = 2 * (
        COPIES_PER_LAYER_INPUTS * per_layer_inputs
        + COPIES_WIDEST * widest
        + COPIES_HIDDEN * whole_number(text, "hidden_size")
    )
    activations = per_token * how.batched_tokens
    logits = how.sequences * whole_number(text, "vocab_size")
    return Need(
        weights=weights + KERNEL_BUFFERS,
        host_table=table,
        context=CUDA_CONTEXT,
        libraries=LIBRARIES,
        graphs=GRAPHS_FIXED + GRAPHS_PER_SIZE * how.graphs if how.graphs else 0,
        activations=activations,
        sampling=round(logits * LOGITS_BYTES),
        profiled=round(activations * PROFILED_SHARE + logits * PROFILED_LOGITS),
        layout=layout,
    )


def _weights(checkpoint: Checkpoint, how: Serving) -> tuple[int, int]:
    """Bytes of weights on the device, and of the per-layer table where that is in host memory."""
    unused = unused_tensors(checkpoint)
    here = table = 0
    for name, tensor in checkpoint.tensors.items():
        part = part_of(name, tensor)
        if name in unused or (part in ("vision", "audio") and not how.towers):
            continue
        if part == "per-layer table" and how.table_on_host and how.device == "cuda":
            table += tensor.nbytes
        elif how.device == "cpu" and is_packed(checkpoint, name):
            # Turned into BF16 when it is loaded, for want of a kernel.
            here += tensor.nbytes * 4
        elif how.device == "cpu" and is_scale(name):
            continue
        else:
            here += tensor.nbytes
    return here, table


def _buffers(text: Mapping[str, Any], how: Serving) -> int:
    """Tables that vLLM makes besides the weights: rotary angles for every position, per-layer inputs of one step."""
    positions = whole_number(text, "max_position_embeddings")
    special = text.get("per_layer_config")
    sizes = {whole_number(text, "head_dim"), whole_number(text, "global_head_dim")}
    sizes |= {whole_number(one, "head_dim") for one in special.values()} if isinstance(special, dict) else set()
    per_layer_inputs = whole_number(text, "hidden_size_per_layer_input") * whole_number(text, "num_hidden_layers")
    return 2 * positions * sum(sizes) + 2 * how.batched_tokens * per_layer_inputs


def _whole(value: object) -> int | None:
    """A positive whole number, also written as text; None for `auto` and whatever else."""
    if isinstance(value, bool):
        return None
    try:
        number = int(str(value))
    except ValueError:
        return None
    return number if number > 0 else None
