"""What is particular to Gemma checkpoints: tensors without use, and layers that vLLM merges into one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gemma_backend.checkpoint.header import Checkpoint, text_config

# vLLM's packed modules (vllm/model_executor/models/gemma4.py, packed_modules_mapping).
MERGED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
# No model has so many; a config that says so is damaged.
MOST_LAYERS = 10_000
_OWN_CACHE = re.compile(r"language_model\.layers\.(\d+)\.self_attn\.(k_proj|v_proj|k_norm)\.")


@dataclass(frozen=True, slots=True)
class Attention:
    """How one layer attends: `width` numbers of keys a token, as many of values; `window` in tokens, None for all.

    `owns` is false where it reads the keys and values of an earlier layer.
    """

    width: int
    window: int | None
    owns: bool


def whole_number(table: Mapping[str, Any], key: str) -> int:
    """A number of a config that counts something, 0 where it is none."""
    value = table.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def attention_layers(config: Mapping[str, Any]) -> list[Attention]:
    """The layers of the text model, () where the config lacks what it takes.

    Names are those of transformers' Gemma 4 text configuration: `global_head_dim` for layers with full attention up
    to 5.14, `per_layer_config` from 5.15 on.
    """
    text = text_config(config)
    names = ("num_key_value_heads", "head_dim", "num_hidden_layers")
    heads, size, count = (whole_number(text, name) for name in names)
    if not (heads and size and count) or count > MOST_LAYERS:
        return []
    kinds = text.get("layer_types")
    if not isinstance(kinds, list) or len(kinds) != count:
        kinds = ["full_attention"] * count
    own = count - whole_number(text, "num_kv_shared_layers")
    window = whole_number(text, "sliding_window")
    per_layer = text.get("per_layer_config")
    made = []
    for index, kind in enumerate(kinds):
        sliding = kind == "sliding_attention" and window > 0
        special = per_layer.get(str(index)) if isinstance(per_layer, dict) else None
        special = special if isinstance(special, dict) else {}
        wide_heads, wide_size = (
            0 if sliding else whole_number(text, key) for key in ("num_global_key_value_heads", "global_head_dim")
        )
        keys = whole_number(special, "num_key_value_heads") or wide_heads or heads
        width = whole_number(special, "head_dim") or wide_size or size
        made.append(Attention(keys * width, window if sliding else None, index < own))
    return made


def unused_tensors(checkpoint: Checkpoint) -> frozenset[str]:
    """Tensors that neither transformers nor vLLM reads, so that leaving them out loses nothing.

    Keys and values of layers that read another layer's KV cache, and the output layer where it is tied to the token
    embedding.
    """
    shared = whole_number(checkpoint.text, "num_kv_shared_layers")
    first = whole_number(checkpoint.text, "num_hidden_layers") - shared
    caches = {name: match for name in checkpoint.tensors if (match := _OWN_CACHE.search(name))}
    found = {name for name, match in caches.items() if shared and int(match[1]) >= first}
    if is_tied(checkpoint):
        found |= {name for name in checkpoint.tensors if name.rsplit(".", 2)[-2:] == ["lm_head", "weight"]}
    return frozenset(found)


def is_tied(checkpoint: Checkpoint) -> bool:
    """Whether the output layer is the token embedding, which is Gemma's default."""
    return bool(checkpoint.config.get("tie_word_embeddings", checkpoint.text.get("tie_word_embeddings", True)))


def merged_groups(layers: Iterable[str]) -> list[tuple[str, ...]]:
    """Those of `layers` (names without `.weight`) that vLLM merges, group by group; groups of one are left out."""
    parents: dict[tuple[str, int], list[str]] = {}
    for layer in layers:
        parent, _, leaf = layer.rpartition(".")
        for number, names in enumerate(MERGED):
            if leaf in names:
                parents.setdefault((parent, number), []).append(layer)
    return [tuple(group) for group in parents.values() if len(group) > 1]
