"""The loss over a batch of rows, through transformers' own Gemma 4 modules, with static shapes so that it compiles."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Gemma4ForConditionalGeneration

from pocket.data.conversations import IMAGE_TOKENS, PATCHES

SOFTCAP = 30.0


@dataclass
class Batch:
    """Rows (tokens, target weights in tenths, soft token numbers), pictures (bytes, grids) and clips (frames, mask)."""

    ids: Tensor
    weights: Tensor
    media: Tensor
    patches: Tensor
    grids: Tensor
    frames: Tensor
    frame_mask: Tensor


class Pocket(nn.Module):
    """Gemma 4 without what serving needs: no cache, no padding of rows, masks made by hand."""

    def __init__(self, model: Gemma4ForConditionalGeneration) -> None:
        super().__init__()
        self.inner = model.model

    def see(self, patches: Tensor, grids: Tensor) -> Tensor:
        """Pictures as bytes (N, 630, 768) with grids (N, 2) to soft tokens (N, 70, hidden)."""
        tower = self.inner.vision_tower
        index = torch.arange(PATCHES, device=patches.device)[None]
        across, down = grids[:, :1], grids[:, 1:]
        padding = index >= across * down
        positions = torch.stack((index % across, index // across), dim=-1).masked_fill(padding[..., None], -1)
        hidden = tower.patch_embedder(patches.float() / 255, positions, padding)
        angles = tower.encoder.rotary_emb(hidden, positions)
        mask = (~padding)[:, None, None, :].expand(-1, 1, PATCHES, -1)
        for layer in tower.encoder.layers:
            hidden = layer(hidden, position_embeddings=angles, attention_mask=mask, position_ids=positions)
        pooled, _ = tower.pooler(
            hidden_states=hidden, pixel_position_ids=positions, padding_positions=padding, output_length=IMAGE_TOKENS
        )
        soft: Tensor = self.inner.embed_vision(inputs_embeds=pooled.to(hidden.dtype))
        return soft

    def hear(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Log-mel frames (N, F, 64) with a mask (N, F) to soft tokens (N, F / 4, hidden)."""
        tower = self.inner.audio_tower
        hidden, kept = tower.subsample_conv_projection(frames, mask)
        places = tower.rel_pos_enc(hidden)
        index = torch.arange(hidden.shape[1], device=hidden.device)
        distance = index[:, None] - index[None, :]
        near = (distance >= 0) & (distance < tower.config.attention_context_left - 1)
        blocked = tower._convert_4d_mask_to_blocked_5d(near[None, None] & kept[:, None, None, :].bool())
        for layer in tower.layers:
            hidden = layer(hidden, attention_mask=blocked, position_embeddings=places)
        soft: Tensor = self.inner.embed_audio(inputs_embeds=tower.output_proj(hidden))
        return soft

    def read(self, ids: Tensor, media: Tensor, table: Tensor | None) -> Tensor:
        """Token rows (B, T), soft token numbers (B, T; -1: none) and the soft tokens (M, hidden) to hidden states."""
        text = self.inner.language_model
        there = media >= 0
        plain = ids.masked_fill(there, 0)
        embedded = text.embed_tokens(plain)
        per_layer = text.get_per_layer_inputs(plain, None)
        if table is not None:
            embedded = torch.where(there[..., None], table[media.clamp(min=0)].to(embedded.dtype), embedded)
        per_layer = text.project_per_layer_inputs(embedded, per_layer)
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
        angles = {kind: text.rotary_emb(embedded, positions, kind) for kind in ("sliding_attention", "full_attention")}
        hidden, shared = embedded, {}
        for index, layer in enumerate(text.layers):
            kind = text.config.layer_types[index]
            # Rows are no longer than the sliding window, so both kinds of layer are plainly causal.
            hidden = layer(
                hidden,
                per_layer[:, :, index, :],
                shared_kv_states=shared,
                position_embeddings=angles[kind],
                attention_mask=None,
            )
        out: Tensor = text.norm(hidden)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of every token, capped as Gemma caps them."""
        scores = F.linear(hidden, self.inner.language_model.embed_tokens.weight)
        return torch.tanh(scores.float() / SOFTCAP) * SOFTCAP

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss of each target (B, T - 1), and whether the likeliest token was the right one."""
        table = None
        soft = []
        if batch.patches.shape[0]:
            soft.append(self.see(batch.patches, batch.grids).flatten(0, 1))
        if batch.frames.shape[0]:
            soft.append(self.hear(batch.frames, batch.frame_mask).flatten(0, 1))
        if soft:
            table = torch.cat(soft)
        scores = self.logits(self.read(batch.ids, batch.media, table)[:, :-1])
        targets = batch.ids[:, 1:]
        loss = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
        return loss, scores.argmax(-1) == targets
