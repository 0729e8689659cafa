"""What is asked: texts to read, and questions with one right answer about text, pictures and clips."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from gemma_assets import path as asset
from gemma_backend.media.load import load
from gemma_backend.text.given import read_given
from gemma_backend.types import BadInput, Part, TextPart

# Characters of a text that are read in one request: some 500 tokens, so that any server's context holds them.
PIECE = 2000
LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, media first, and the answers that count as right."""

    parts: tuple[Part, ...]
    answers: tuple[str, ...]


def bundled(name: str) -> Path:
    """A file of the evaluation set that ships."""
    return asset("evaluation", name)


def read_texts(path: Path) -> list[str]:
    """Pieces of a text file, cut between paragraphs where they would be too long; BadInput where there is none."""
    pieces: list[str] = []
    for paragraph in re.split(r"\n\s*\n", _read(path)):
        text = paragraph.strip("\n")
        if not text.strip():
            continue
        if pieces and len(pieces[-1]) + len(text) + 2 <= PIECE and path.suffix != ".txt":
            pieces[-1] += f"\n\n{text}"
        else:
            pieces += [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    if not pieces:
        raise BadInput(f"{path} holds no text: give a file with some paragraphs.")
    return pieces


def read_questions(path: Path) -> list[Question]:
    """Rows of JSON lines: `question`, `answer` (a text or a list of them), and `image` or `audio` beside the file."""
    found = []
    for number, line in enumerate(_read(path).splitlines(), 1):
        if line.strip():
            found.append(_question(path, number, line))
    if not found:
        raise BadInput(f"{path} holds no questions: give JSON lines with a `question` and an `answer` each.")
    return found


def right(question: Question, said: str) -> bool:
    """Whether an answer is one of the right ones, but for case, spaces and the punctuation around it."""
    return plain(said) in {plain(answer) for answer in question.answers}


def plain(text: str) -> str:
    """A text without what exact match leaves aside."""
    return " ".join(text.casefold().split()).strip(" .!?\"'")


def _question(path: Path, number: int, line: str) -> Question:
    where = f"{path.name}, line {number}"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise BadInput(f"{where}: this is no JSON object with a `question` and an `answer`.")
    answers = row.get("answer")
    answers = [answers] if isinstance(answers, str) else answers
    if not isinstance(answers, list) or not answers or not all(isinstance(each, str) for each in answers):
        raise BadInput(f"{where}: there is no `answer`, which is a text or a list of texts.")
    named = [row[kind] for kind in ("image", "audio") if isinstance(row.get(kind), str)]
    parts: list[Part] = [load(path.parent / name) for name in named]
    asked = row.get("question", "")
    if not isinstance(asked, str) or not (asked or parts):
        raise BadInput(f"{where}: there is no `question`.")
    return Question((*parts, TextPart(asked)) if asked else tuple(parts), tuple(answers))


def _read(path: Path) -> str:
    try:
        data = read_given(path, LARGEST + 1)
        if len(data) > LARGEST:
            raise BadInput(f"{path} is larger than {LARGEST >> 20} MiB: give a smaller file, a few pages are enough.")
        return data.decode()
    except FileNotFoundError:
        raise BadInput(f"There is no file {path}: check the path.") from None
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not valid UTF-8: convert it, for example with iconv.") from None
