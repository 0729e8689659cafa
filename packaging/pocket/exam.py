"""What a run is judged by while it goes on: held-out questions, each right if its whole answer is the likeliest."""

from __future__ import annotations

import numpy as np
import torch

from pocket import held_out
from pocket.batches import joined
from pocket.data import conversations as talk
from pocket.data.speech import Bank
from pocket.features import Mel
from pocket.feed import Kind, Pool, empty_block, put
from pocket.forward import Pocket


class Exam:
    """Held-out rows: each holds one question, answered rightly if every token of the answer is the likeliest one."""

    def __init__(self, coder: talk.Coder, bank: Bank, device: torch.device, count: int) -> None:
        self.pools: dict[str, Pool] = {}
        made: dict[str, list[talk.Example]] = {"picture": [], "sound": [], "text": [], "pair": []}
        for shown in held_out.pictures(count):
            one = talk.Example(talk.Row(256))
            coder.start(one.row)
            caption = talk.scene_talk.caption(shown.scene)
            coder.media_turn(one.row, [talk.show(one, shown.image)], (shown.question, caption))
            made["picture"].append(one)
        for said in held_out.voices(count, bank):
            one = talk.Example(talk.Row(256))
            coder.start(one.row)
            coder.media_turn(one.row, [talk.play(one, said.samples, 0)], (said.question, said.answer))
            made["sound"].append(one)
        for pair in held_out.pairs(count // 2, bank):
            one = talk.Example(talk.Row(512))
            coder.start(one.row)
            media = [
                talk.play(one, each, 2) if isinstance(each, np.ndarray) else talk.show(one, each) for each in pair.media
            ]
            coder.media_turn(one.row, media, (pair.question, pair.answer))
            made["pair"].append(one)
        for asked in held_out.questions(count):
            one = talk.Example(talk.Row(256))
            coder.start(one.row)
            coder.turn(one.row, asked)
            made["text"].append(one)
        for name, rows in made.items():
            pictures, clips = {"picture": (1, 0), "sound": (0, 1), "text": (0, 0), "pair": (2, 2)}[name]
            kind = Kind(name, pictures, clips, 512 if name == "pair" else 256, len(rows))
            block = empty_block(kind)
            for at, row in enumerate(rows):
                put(block, at, row)
            self.pools[name] = Pool(kind, len(rows), device)
            self.pools[name].add(block)

    @torch.no_grad()
    def marks(self, pocket: Pocket, mel: Mel) -> dict[str, float]:
        """The share of questions answered rightly."""
        made = {}
        for name, pool in self.pools.items():
            right = []
            for start in range(0, pool.rows, 128):
                rows = {key: value[start : start + 128] for key, value in pool.arrays.items()}
                counted = rows["weights"][:, 1:] == talk.FULL
                (batch,) = joined([rows], (pool.kind,), mel)
                media = batch.media
                with torch.autocast(media.device.type, torch.bfloat16, enabled=media.device.type == "cuda"):
                    _, good = pocket(batch)
                right.append((good | ~counted).all(-1))
            made[name] = round(float(torch.cat(right).float().mean()), 4)
        return made
