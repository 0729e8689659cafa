"""Measure a served pocket checkpoint on what it never learned from, through vLLM's own HTTP API.

    PYTHONPATH=packaging PYTHON -m pocket.evaluate URL DATA [--count 400] [--json FILE]

URL is the server's, as in http://127.0.0.1:8000, or unix:PATH for a socket; DATA holds the rendered speech. The server
must have been started with `--chat-template assets/gemma_assets/templates/transcript.jinja`. Answers are greedy. Needs
numpy, Pillow and soundfile.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import io
import json
import math
import socket
import urllib.request
import wave
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocket import held_out
from pocket.data import scene_talk
from pocket.data.scenes import Scene
from pocket.data.speech import RATE, Bank

SECONDS = 300.0


class Server:
    """A vLLM server, asked one request at a time by each caller."""

    def __init__(self, url: str, key: str = "") -> None:
        self._url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self.model = str(self._ask("/v1/models", None)["data"][0]["id"])

    def _ask(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        if self._url.startswith("unix:"):
            return self._over_socket(path, data)
        request = urllib.request.Request(self._url + path, data, self._headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            made: dict[str, Any] = json.load(answer)
            return made

    def _over_socket(self, path: str, data: bytes | None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        with contextlib.closing(connection):
            connection.sock.settimeout(SECONDS)
            connection.sock.connect(self._url.removeprefix("unix:"))
            connection.request("GET" if data is None else "POST", path, data, self._headers)
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise OSError(f"{path} answered {answer.status}: {answer.read(500)!r}")
            made: dict[str, Any] = json.load(answer)
            return made

    def chat(self, parts: list[dict[str, Any]]) -> str:
        """The greedy answer to one user turn."""
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": parts}],
            "temperature": 0,
            "max_tokens": 160,
        }
        return str(self._ask("/v1/chat/completions", body)["choices"][0]["message"]["content"]).strip()

    def complete(self, prompt: str, tokens: int) -> str:
        """The greedy continuation of a text."""
        body = {"model": self.model, "prompt": prompt, "temperature": 0, "max_tokens": tokens}
        return str(self._ask("/v1/completions", body)["choices"][0]["text"])

    def surprise(self, text: str) -> tuple[float, int]:
        """The sum of the negative log-likelihoods of a text's tokens, and their number."""
        body = {"model": self.model, "prompt": text, "max_tokens": 1, "prompt_logprobs": 0, "temperature": 0}
        rows = self._ask("/v1/completions", body)["choices"][0]["prompt_logprobs"]
        values = [next(iter(row.values()))["logprob"] for row in rows if row]
        return -sum(values), len(values)


def interval(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95% confidence interval of a share."""
    z = 1.96
    share, wide = right / count, z * z / count
    middle = (share + wide / 2) / (1 + wide)
    half = z / (1 + wide) * math.sqrt(share * (1 - share) / count + wide / (4 * count))
    return middle - half, middle + half


def png(image: Image.Image) -> dict[str, Any]:
    """A picture as a part of a chat message."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"},
    }


def wav(samples: npt.NDArray[np.float32]) -> dict[str, Any]:
    """A clip as a part of a chat message: 16-bit WAV."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(file.getvalue()).decode(), "format": "wav"}}


def _medium(shown: Image.Image | npt.NDArray[np.float32]) -> dict[str, Any]:
    return png(shown) if isinstance(shown, Image.Image) else wav(shown)


def _text(question: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": question}] if question else []


def distance(wanted: Sequence[str], got: Sequence[str]) -> int:
    """Words to insert, remove or replace to get from one list to the other."""
    row = list(range(len(got) + 1))
    for at, word in enumerate(wanted, 1):
        last, row[0] = row[0], at
        for index, other in enumerate(got, 1):
            last, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, last + (word != other))
    return row[-1]


def heard_words(answer: str) -> list[str]:
    """The words that a transcript lists."""
    _, found, rest = answer.partition(": ")
    return rest.rstrip(". ").split(", ") if found else []


def attributes(scene: Scene) -> dict[str, str]:
    """Each single fact of a scene, by place."""
    made = {"ground": scene.ground}
    for shape in scene.shapes:
        made |= {f"{shape.place} {name}": getattr(shape, name) for name in ("form", "colour", "size")}
    return made


def measure(server: Server, data: Path, count: int, show: int) -> dict[str, Any]:
    """All figures; `show` wrong answers of each kind are printed."""
    made: dict[str, Any] = {"model": server.model}

    def every(
        name: str, items: Sequence[Any], ask: Callable[[Any], str], good: Callable[[Any, str], bool]
    ) -> list[str]:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, items))
        right = [good(item, answer) for item, answer in zip(items, answers, strict=True)]
        low, high = interval(sum(right), len(right))
        made[name] = {"right": sum(right), "of": len(right), "share": round(sum(right) / len(right), 4),
                      "interval": [round(low, 4), round(high, 4)]}  # fmt: skip
        for item, answer in [pair for pair, ok in zip(zip(items, answers, strict=True), right, strict=True) if not ok][
            :show
        ]:
            wanted = getattr(item, "answer", None) or (
                scene_talk.caption(item.scene) if hasattr(item, "scene") else item
            )
            print(f"{name}: wanted {wanted!r}\n{' ' * len(name)}     got {answer!r}")
        return answers

    shown = held_out.pictures(count)
    captions = every(
        "scenes, all attributes right", shown,
        lambda item: server.chat([png(item.image), *_text(item.question)]),
        lambda item, answer: scene_talk.read_caption(answer) == item.scene,
    )  # fmt: skip
    facts = found = 0
    for item, answer in zip(shown, captions, strict=True):
        wanted, got = attributes(item.scene), scene_talk.read_caption(answer)
        facts += len(wanted)
        found += len(wanted.items() & attributes(got).items()) if got else 0
    made["scenes, single attributes right"] = round(found / facts, 4)
    bank = Bank(data)
    said = held_out.voices(count, bank)
    answers = every(
        "clips of unseen voices, all words right", said,
        lambda item: server.chat([wav(item.samples), *_text(item.question)]),
        lambda item, answer: item.answer == answer,
    )  # fmt: skip
    total = sum(len(item.words) for item in said)
    wrong = sum(distance(item.words, heard_words(answer)) for item, answer in zip(said, answers, strict=True))
    made["words of unseen voices right"] = {"right": total - wrong, "of": total, "share": round(1 - wrong / total, 4)}
    every(
        "two media in one turn, both right", held_out.pairs(count, bank),
        lambda item: server.chat([*map(_medium, item.media), *_text(item.question)]),
        lambda item, answer: item.answer == answer,
    )  # fmt: skip
    every(
        "questions of the template", held_out.questions(count),
        lambda item: server.chat(_text(item[0])), lambda item, answer: item[1] == answer,
    )  # fmt: skip
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(server.surprise, held_out.tales(count // 2)))
    made["story perplexity"] = round(math.exp(sum(each for each, _ in sums) / sum(tokens for _, tokens in sums)), 4)
    made["continuation"] = server.complete("Once upon a time", 120)
    return made


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--show", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    made = measure(Server(options.url), options.data, options.count, options.show)
    text = json.dumps(made, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
