"""Train the pocket checkpoint, on one GPU for minutes at a time or, with `--smoke`, on a CPU for a few steps.

    PYTHONPATH=packaging PYTHON -m pocket.train DATA OUT [--resume FOLDER] [--seconds 500] [--lr 2e-3 1e-3] ...

DATA holds `speech.flac` and `speech.json` (pocket.data.speech) and `tokenizer.json` (pocket.vocabulary). Weights go to
OUT, from where `--resume` takes them. README.md beside this has the runs that the bundled checkpoint came from.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from pocket import fakequant, held_out, model, weights
from pocket.data import conversations as talk
from pocket.data.speech import Bank
from pocket.features import Mel
from pocket.feed import Feed, Kind, Pool, empty_block, filler, put
from pocket.forward import Batch, Pocket

WARM_UP = 300
CLIP = 1.0


@dataclass(frozen=True)
class Plan:
    """How a run goes: rows of each kind in a step, in the pools they are drawn from, and their parts of the loss."""

    kinds: tuple[Kind, ...]
    rows: tuple[int, ...]
    pools: tuple[int, ...]
    slots: tuple[int, ...]
    shares: tuple[float, ...] = (1.0, 1.0, 1.0)


def plan(mixed: bool, smoke: bool) -> Plan:
    """Short rows of one medium each, or long ones of several."""
    kinds = [Kind("picture", 1, 0, 256), Kind("sound", 0, 1, 256), Kind("text", 0, 0, 256)]
    if smoke:
        small = tuple(Kind(kind.name, kind.pictures, kind.clips, kind.tokens, 2) for kind in kinds)
        return Plan(small, (2, 2, 2), (8, 8, 8), (1, 1, 1))
    if not mixed:
        return Plan(tuple(kinds), (96, 64, 64), (28_000, 24_000, 60_000), (32, 20, 20))
    long = (Kind("mixed", 2, 2, 512, 32), Kind("text", 0, 0, 512))
    return Plan(long, (48, 24), (16_000, 30_000), (40, 12), (2.0, 1.0))


def joined(
    drawn: list[dict[str, Tensor]], kinds: tuple[Kind, ...], mel: Mel, generator: torch.Generator
) -> list[Batch]:
    """Batches of rows of equal length, with the soft tokens numbered through each batch."""
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
        if len(samples):
            loud = torch.empty((len(samples), 1), device=samples.device).uniform_(-1.2, 0.3, generator=generator)
            hiss = torch.empty((len(samples), 1), device=samples.device).uniform_(-11, -4.5, generator=generator)
            samples = samples * loud.exp() + hiss.exp() * torch.randn(
                samples.shape, device=samples.device, generator=generator
            )
        frames, mask = (
            mel(samples, lengths, generator)
            if len(samples)
            else (samples.new_zeros((0, 4, model.BANDS)), lengths[:, None] > 0)
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


def groups(inner: torch.nn.Module) -> list[dict[str, object]]:
    """Matrices decay; norms, scales and embeddings don't."""
    decayed, free = [], []
    for name, value in inner.named_parameters():
        (decayed if value.dim() >= 2 and "embed_tokens" not in name and "position" not in name else free).append(value)
    return [{"params": decayed, "weight_decay": 0.05}, {"params": free, "weight_decay": 0.0}]


class Exam:
    """Held-out rows: each holds one question, answered rightly if every token of the answer is the likeliest one."""

    def __init__(self, coder: talk.Coder, bank: Bank, device: torch.device, count: int) -> None:
        self.pools: dict[str, Pool] = {}
        made: dict[str, list[talk.Example]] = {"picture": [], "sound": [], "text": []}
        for shown in held_out.pictures(count):
            one = talk.Example(talk.Row(256))
            coder.start(one.row)
            cut = talk.patches(shown.image)
            one.pictures.append(cut)
            tokens = cut[1][0] * cut[1][1] // 9
            caption = talk.scene_talk.caption(shown.scene)
            coder.media_turn(one.row, "image", 0, tokens, (shown.question, caption))
            made["picture"].append(one)
        for said in held_out.voices(count, bank):
            one = talk.Example(talk.Row(256))
            coder.start(one.row)
            one.clips.append(said.samples)
            coder.media_turn(one.row, "audio", 0, talk.sound_tokens(len(said.samples)), (said.question, said.answer))
            made["sound"].append(one)
        for asked in held_out.questions(count):
            one = talk.Example(talk.Row(256))
            coder.start(one.row)
            coder.turn(one.row, asked)
            made["text"].append(one)
        for name, rows in made.items():
            kind = Kind(name, int(name == "picture"), int(name == "sound"), 256, count)
            block = empty_block(kind)
            for at, row in enumerate(rows):
                put(block, at, row)
            self.pools[name] = Pool(kind, count, device)
            self.pools[name].add(block)

    @torch.no_grad()
    def marks(self, pocket: Pocket, mel: Mel) -> dict[str, float]:
        """The share of questions answered rightly."""
        made = {}
        for name, pool in self.pools.items():
            right = []
            for start in range(0, pool.rows, 128):
                rows = {key: value[start : start + 128] for key, value in pool.arrays.items()}
                samples = rows["samples"].flatten(0, 1).float() / 32767
                frames, mask = samples.new_zeros((0, 4, model.BANDS)), samples[:, :0] > 0
                if len(samples):
                    frames, mask = mel(samples, rows["lengths"].flatten())
                media = rows["media"].long()
                row = torch.arange(len(media), device=media.device)[:, None]
                step = talk.IMAGE_TOKENS if name == "picture" else talk.SOUND_TOKENS
                media = torch.where(media < 0, media, media + row * step)
                counted = rows["weights"][:, 1:] == talk.FULL
                batch = Batch(
                    rows["ids"].long(), rows["weights"], media, rows["patches"].flatten(0, 1),
                    rows["grids"].flatten(0, 1).long(), frames, mask,
                )  # fmt: skip
                with torch.autocast(media.device.type, torch.bfloat16, enabled=media.device.type == "cuda"):
                    _, good = pocket(batch)
                right.append((good | ~counted).all(-1))
            made[name] = round(float(torch.cat(right).float().mean()), 4)
        return made


def train(options: argparse.Namespace) -> None:
    """The whole run."""
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    todo = plan(options.mixed, options.smoke)
    seed = f"train {options.seed} {options.stage}"
    workers = max(1, (os.cpu_count() or 2) - 1) if not options.smoke else 1
    feed = Feed(list(todo.kinds), list(todo.slots), options.data, seed, workers)

    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")
    made = model.fresh(options.seed)
    if options.resume:
        weights.load(made, options.resume)
    made.to(device)
    pocket = Pocket(made)
    scales = fakequant.prepare(made) if options.quantised else []
    mel = Mel(model.feature_extractor()).to(device)
    coder = talk.Coder(Tokenizer.from_file(str(options.data / "tokenizer.json")))
    exam = Exam(coder, Bank(options.data), device, 4 if options.smoke else 512)
    pools = [Pool(kind, rows, device) for kind, rows in zip(todo.kinds, todo.pools, strict=True)]
    move = filler(feed, pools, device)
    # The running step's compiled code; the exam runs the same modules as they are.
    step_forward = torch.compile(pocket, dynamic=False) if options.compile else pocket
    optimizer = torch.optim.AdamW(
        groups(pocket), lr=options.lr[0], betas=(0.9, 0.98), eps=1e-8, fused=device.type == "cuda"
    )
    generator = torch.Generator(device).manual_seed(options.seed + 1000 * options.stage)
    while any(not pool.filled for pool in pools):
        move(True)
    print(f"{model.parts(made)} {device} ready after {time.monotonic() - started:.0f} s", flush=True)

    log = []
    step = 0
    begun = time.monotonic()
    sums = torch.zeros(len(todo.kinds) * 2, device=device)
    next_exam = begun + 60
    while True:
        now = time.monotonic()
        # Compiling takes the first minute or more, so the clock of the schedule is the whole run's.
        share = min(1.0, (now - started) / options.seconds)
        if share >= 1 or (options.smoke and step >= options.smoke_steps):
            break
        rate = (options.lr[0] + (options.lr[1] - options.lr[0]) * share) * min(1.0, (step + 1) / WARM_UP)
        for group in optimizer.param_groups:
            group["lr"] = rate
        if step % 2 == 0:
            move(False)
        if scales:
            fakequant.refresh(scales, activations=step % 2 == 1)
        drawn = [pool.draw(count, generator) for pool, count in zip(pools, todo.rows, strict=True)]
        total = torch.zeros((), device=device)
        for batch in joined(drawn, todo.kinds, mel, generator):
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss, good = step_forward(batch)
            length, at = batch.ids.shape[1], 0
            for number, kind in enumerate(todo.kinds):
                if kind.tokens != length:
                    continue
                end = at + todo.rows[number]
                counted = batch.weights[at:end, 1:]
                mean = (loss[at:end] * counted).sum() / counted.sum()
                total = total + todo.shares[number] * mean
                sums[2 * number] += mean.detach()
                full = counted == 1
                sums[2 * number + 1] += (good[at:end] & full).sum() / full.sum()
                at = end
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(pocket.parameters(), CLIP, foreach=True)
        optimizer.step()
        step += 1
        if step % options.every == 0:
            values = (sums / options.every).tolist()
            sums.zero_()
            line = {
                "step": step,
                "seconds": round(time.monotonic() - started),
                "lr": round(rate, 6),
                **{
                    kind.name: [round(value, 4) for value in values[2 * n : 2 * n + 2]]
                    for n, kind in enumerate(todo.kinds)
                },
                "made": [pool.made for pool in pools],
            }
            if time.monotonic() > next_exam:
                next_exam = time.monotonic() + 60
                line["exam"] = exam.marks(pocket, mel)
            log.append(line)
            print(json.dumps(line), flush=True)
            if not torch.isfinite(sums).all() or values[0] != values[0]:
                break
    feed.close()
    if scales:
        fakequant.refresh(scales, activations=False)
    result = {"steps": step, "seconds": round(time.monotonic() - started), "exam": exam.marks(pocket, mel)}
    if scales:
        fakequant.refresh(scales, activations=True)
        result["exam with rounded activations"] = exam.marks(pocket, mel)
    print(json.dumps(result), flush=True)
    weights.save(made, options.out)
    (options.out / f"log-{options.stage}.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in [*log, result]), "utf-8"
    )


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--seconds", type=float, default=500)
    parser.add_argument("--lr", type=float, nargs=2, default=(2e-3, 2e-3))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stage", type=int, default=0)
    parser.add_argument("--mixed", action="store_true")
    parser.add_argument("--quantised", action="store_true")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--smoke-steps", type=int, default=3)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
