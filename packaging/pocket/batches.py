"""Drawn rows put together into the batches that the model takes."""

from __future__ import annotations

import torch
from torch import Tensor

from pocket.data import conversations as talk
from pocket.features import Mel
from pocket.feed import Kind
from pocket.forward import Batch
from pocket.model import TRAINED


def joined(
    drawn: list[dict[str, Tensor]], kinds: tuple[Kind, ...], mel: Mel, generator: torch.Generator | None = None
) -> list[Batch]:
    """Batches of rows of equal length, with the soft tokens numbered through; sound is varied by `generator`."""
    made = []
    for length in sorted({kind.tokens for kind in kinds}):
        chosen = [(kind, rows) for kind, rows in zip(kinds, drawn, strict=True) if kind.tokens == length]
        pictures = sum(kind.pictures * len(rows["ids"]) for kind, rows in chosen)
        see, hear = 0, pictures * talk.IMAGE_TOKENS
        media = []
        for kind, rows in chosen:
            count = len(rows["ids"])
            own = rows["media"].long()
            row = torch.arange(count, device=own.device)[:, None]
            eyes = kind.pictures * talk.IMAGE_TOKENS
            ears = kind.clips * talk.SOUND_TOKENS
            numbered = torch.where(own < eyes, see + row * eyes + own, hear + row * ears + own - eyes)
            media.append(torch.where(own < 0, own, numbered))
            see += count * eyes
            hear += count * ears
        patches = torch.cat([rows["patches"].flatten(0, 1) for _, rows in chosen])
        grids = torch.cat([rows["grids"].flatten(0, 1) for _, rows in chosen]).long()
        samples = torch.cat([rows["samples"].flatten(0, 1) for _, rows in chosen]).float() / 32767
        lengths = torch.cat([rows["lengths"].flatten(0, 1) for _, rows in chosen])
        if len(samples) and generator is not None:
            loud = torch.empty((len(samples), 1), device=samples.device).uniform_(-1.2, 0.3, generator=generator)
            hiss = torch.empty((len(samples), 1), device=samples.device).uniform_(-11, -4.5, generator=generator)
            samples = samples * loud.exp() + hiss.exp() * torch.randn(
                samples.shape, device=samples.device, generator=generator
            )
        frames, mask = (
            mel(samples, lengths, generator)
            if len(samples)
            else (samples.new_zeros((0, 4, TRAINED.bands)), lengths[:, None] > 0)
        )
        made.append(
            Batch(
                torch.cat([rows["ids"] for _, rows in chosen]).long(),
                torch.cat([rows["weights"] for _, rows in chosen]).float() / 10,
                torch.cat(media),
                patches,
                grids,
                frames,
                mask,
            )
        )
    return made
