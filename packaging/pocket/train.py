"""Train the pocket checkpoint, on one GPU for minutes at a time or, with `--smoke`, on a CPU for a few steps.

    PYTHONPATH=packaging PYTHON -m pocket.train DATA OUT [--resume FOLDER] [--length 500] [--lr 2e-3 1e-3] ...

DATA holds `speech.flac` and `speech.json` (pocket.data.speech) and `tokenizer.json` (pocket.vocabulary). Weights go to
OUT, from where `--resume` takes them; AdamW's moments are not kept, and build up again while the rate warms up.
README.md beside this has the runs that the bundled checkpoint came from.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer

from pocket import fakequant, model, weights
from pocket.batches import joined
from pocket.data import conversations as talk
from pocket.data.speech import Bank
from pocket.exam import Exam
from pocket.features import Mel
from pocket.feed import Feed, Kind, Mover, Pool
from pocket.forward import Pocket

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
    short = (Kind("picture", 1, 0, 256), Kind("sound", 0, 1, 256), Kind("text", 0, 0, 256))
    long = (Kind("mixed", 2, 2, 512, 32), Kind("text", 0, 0, 512))
    if smoke:
        small = tuple(replace(kind, block=2) for kind in (long if mixed else short))
        return Plan(small, (2,) * len(small), (8,) * len(small), (1,) * len(small))
    if not mixed:
        return Plan(short, (96, 64, 64), (28_000, 24_000, 60_000), (32, 20, 20))
    return Plan(long, (48, 24), (16_000, 30_000), (40, 12), (2.0, 1.0))


def groups(inner: torch.nn.Module) -> list[dict[str, object]]:
    """Matrices decay; norms, scales and embeddings don't."""
    decayed, free = [], []
    for name, value in inner.named_parameters():
        (decayed if value.dim() >= 2 and "embed_tokens" not in name and "position" not in name else free).append(value)
    return [{"params": decayed, "weight_decay": 0.05}, {"params": free, "weight_decay": 0.0}]


def train(options: argparse.Namespace, saved: Callable[[float], None] = lambda _: None) -> bool:
    """Train until the schedule or what is allowed of it is over; returns whether the schedule is.

    A schedule is in seconds, with compiling and what else goes before, or in steps for a rehearsal, whose speed says
    nothing. `saved` is told how much of it is behind, each time the weights have been written.
    """
    started = time.monotonic()

    def behind(step: int) -> float:
        # Where an earlier run has spent some of the schedule, this one starts so much further on.
        return float(options.spent + (step if options.smoke else time.monotonic() - started))

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    todo = plan(options.mixed, options.smoke)
    seed = f"train {options.seed} {options.stage}" + (f" from {options.spent:.0f}" if options.spent else "")
    workers = max(1, (os.cpu_count() or 2) - 1) if not options.smoke else 1
    feed = Feed(list(todo.kinds), list(todo.slots), options.data, seed, workers)

    if options.smoke:
        # Two threads on a busy machine of two processors wait for each other most of the time.
        torch.set_num_threads(1)
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
    mover = Mover(feed, pools, device)
    # The running step's compiled code; the exam runs the same modules as they are.
    step_forward = torch.compile(pocket, dynamic=False) if options.compile else pocket
    optimizer = torch.optim.AdamW(
        groups(pocket), lr=options.lr[0], betas=(0.9, 0.98), eps=1e-8, fused=device.type == "cuda"
    )
    # Another part of the schedule draws other rows.
    generator = torch.Generator(device).manual_seed(options.seed + 1000 * options.stage + round(1e6 * options.spent))
    while any(not pool.filled for pool in pools):
        mover.move(True)
    print(f"{model.parts(made)} {device} ready after {time.monotonic() - started:.0f} s", flush=True)

    log = []
    step = 0
    sums = torch.zeros(len(todo.kinds) * 2, device=device)
    next_exam, next_save = time.monotonic() + 60, behind(step) + options.save_every
    while True:
        done = behind(step)
        share = min(1.0, done / options.length)
        if share >= 1 or done - options.spent >= options.allowed:
            break
        if done >= next_save:
            next_save = done + options.save_every
            weights.save(made, options.out)
            saved(done)
        rate = (options.lr[0] + (options.lr[1] - options.lr[0]) * share) * min(1.0, (step + 1) / WARM_UP)
        for group in optimizer.param_groups:
            group["lr"] = rate
        if step % 2 == 0:
            mover.move(False)
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
            if not all(map(math.isfinite, values)):
                mover.close()
                raise SystemExit(f"the loss is no number at step {step}: the weights saved before are kept")
    mover.close()
    if scales:
        fakequant.refresh(scales, activations=False)
    result = {"steps": step, "seconds": round(time.monotonic() - started), "exam": exam.marks(pocket, mel)}
    if scales:
        fakequant.refresh(scales, activations=True)
        result["exam with rounded activations"] = exam.marks(pocket, mel)
    print(json.dumps(result), flush=True)
    weights.save(made, options.out)
    spent = behind(step)
    saved(spent)
    # Written anew: what was carried here from another machine may be closed to writing.
    path = options.out / f"log-{options.stage}.jsonl"
    before = path.read_text("utf-8") if path.is_file() else ""
    path.with_suffix(".new").write_text(before + "".join(json.dumps(line) + "\n" for line in [*log, result]), "utf-8")
    path.with_suffix(".new").replace(path)
    return spent >= options.length


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--resume", type=Path)
    parser.add_argument(
        "--length", type=float, default=500, help="of the whole schedule, in seconds or, with --smoke, steps"
    )
    parser.add_argument("--lr", type=float, nargs=2, default=(2e-3, 2e-3))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stage", type=int, default=0)
    parser.add_argument("--mixed", action="store_true")
    parser.add_argument("--quantised", action="store_true")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--smoke", action="store_true", help="a rehearsal: two rows of each kind in a step")
    parser.add_argument("--spent", type=float, default=0.0, help="how much of the schedule is behind")
    parser.add_argument("--allowed", type=float, default=math.inf, help="how much of it this run may do")
    parser.add_argument("--save-every", type=float, default=math.inf, help="how much lies between two savings")
    return parser


if __name__ == "__main__":
    train(parser().parse_args())
