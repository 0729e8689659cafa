"""What is particular to Gemma checkpoints: tensors without use, and layers that vLLM merges into one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gemma_backend.checkpoint.header import Checkpoint

# vLLM's packed modules (vllm/model_executor/models/gemma4.py, packed_modules_mapping).
MERGED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
_OWN_CACHE = re.compile(r"language_model\.layers\.(\d+)\.self_attn\.(k_proj|v_proj|k_norm)\.")


def unused_tensors(checkpoint: Checkpoint) -> frozenset[str]:
    """Tensors that neither transformers nor vLLM reads, so that leaving them out loses nothing.

    Keys and values of layers that read another layer's KV cache, and the output layer where it is tied to the token
    embedding.
    """
    text = checkpoint.config.get("text_config") or checkpoint.config
    shared = int(text.get("num_kv_shared_layers") or 0)
    first = int(text.get("num_hidden_layers") or 0) - shared
    caches = {name: match for name in checkpoint.tensors if (match := _OWN_CACHE.search(name))}
    found = {name for name, match in caches.items() if shared and int(match[1]) >= first}
    if is_tied(checkpoint):
        found |= {name for name in checkpoint.tensors if name.rsplit(".", 2)[-2:] == ["lm_head", "weight"]}
    return frozenset(found)


def is_tied(checkpoint: Checkpoint) -> bool:
    """Whether the output layer is the token embedding, which is Gemma's default."""
    text = checkpoint.config.get("text_config") or {}
    return bool(checkpoint.config.get("tie_word_embeddings", text.get("tie_word_embeddings", True)))


def merged_groups(layers: Iterable[str]) -> list[tuple[str, ...]]:
    """Those of `layers` (names without `.weight`) that vLLM merges, group by group; groups of one are left out."""
    parents: dict[tuple[str, int], list[str]] = {}
    for layer in layers:
        parent, _, leaf = layer.rpartition(".")
        for number, names in enumerate(MERGED):
            if leaf in names:
                parents.setdefault((parent, number), []).append(layer)
    return [tuple(group) for group in parents.values() if len(group) > 1]
