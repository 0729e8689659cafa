"""Proves a runtime right with the pocket checkpoint: text, a picture and a clip, each with the one right answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gemma_assets import path as asset
from gemma_backend.config.profiles import Profile, load_profile
from gemma_backend.config.settings import Settings
from gemma_backend.evaluate.quality.asking import ask
from gemma_backend.evaluate.quality.questions import Question, right
from gemma_backend.media.load import load
from gemma_backend.session.session import Session
from gemma_backend.types import GemmaError, TextPart

# The share of a GPU's memory that the pocket checkpoint's engine may take: others may need the rest.
GPU_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing that was asked: whether the answer was right, and what was said instead if it was not."""

    subject: str
    ok: bool
    text: str


def questions() -> dict[str, Sequence[Question]]:
    """What is asked, by what it proves; the picture and the clip are those that ship as samples."""
    picture, clip = (load(asset("samples", name)) for name in ("scene.png", "words.wav"))
    scene = (
        "A small yellow star at the top left, a large red circle in the centre and a small green square at the bottom "
        "right, on a blue background."
    )
    return {
        "text": [Question((TextPart("What is two plus three?"),), ("Two plus three is five.",))],
        "picture": [Question((picture, TextPart("What is in the picture?")), (scene,))],
        "sound": [Question((clip, TextPart("What do you hear?")), ("I hear the words: hello, three, blue, music.",))],
    }


def pocket_on(profile: Profile) -> Profile:
    """The pocket profile on the runtime of `profile`, without what only a CPU takes where that is not one."""
    pocket = load_profile("pocket")
    if profile.runtime == pocket.runtime or profile.url is not None:
        return pocket
    flags = {**pocket.flags, "gpu-memory-utilization": GPU_SHARE}
    return pocket.model_copy(update={"runtime": profile.runtime, "flags": flags, "environment": {}})


async def prove(profile: Profile, settings: Settings, told: Callable[[str], None] = lambda _: None) -> list[Proof]:
    """Serve the pocket checkpoint on the runtime of `profile`, ask, and stop it; a failure to start is a proof too."""
    pocket = pocket_on(profile)
    session = Session.for_profile(pocket, settings)
    try:
        told("starting the engine")
        await session.start()
        await session.wait_ready()
        assert session.endpoint is not None
        started = Proof("start", True, f"vLLM serves the pocket checkpoint (runtime {pocket.runtime})")
        asked = questions()
        found = await ask(session.endpoint, session.model, (), asked, lambda kind, *_: told(f"asked about {kind}"))
    except GemmaError as error:
        return [Proof("start", False, str(error))]
    finally:
        await session.close()
    proofs = [started]
    for subject, (question,) in asked.items():
        said = found.said.get(subject, ("",))[0]
        if subject in found.missing:
            proofs.append(Proof(subject, False, found.missing[subject]))
        elif right(question, said):
            proofs.append(Proof(subject, True, said))
        else:
            proofs.append(Proof(subject, False, f"{said!r} was said instead of {question.answers[0]!r}"))
    return proofs
