"""Where calibration samples come from: a file of a person's, a data set on the model hub, or the set that ships."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from gemma_assets import path as asset
from gemma_backend.config.paths import cache_dir, ensure
from gemma_backend.types import BadInput, EngineError, UsageError

BUNDLED = "bundled"
PUBLISHED = "abisee/cnn_dailymail:3.0.0"
# The hub's row service: it reads any data set's format and sends rows as JSON (at most 100 at a time).
SERVICE = "https://datasets-server.huggingface.co"
PAGE = 100
# Columns that hold the text, where a data set has several of strings.
TEXT_COLUMNS = ("text", "article", "content", "document", "prompt", "question", "instruction", "story")
_DATASET = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?::(?P<config>[\w.-]+))?(?:@(?P<split>[\w.-]+))?"
)


@dataclass(frozen=True)
class Calibration:
    """Files for the worker, text or JSON lines, and what they are called in the card."""

    name: str
    files: tuple[Path, ...]
    media: bool = False


def is_dataset(calib: str) -> bool:
    """Whether `calib` names a data set on the hub and no file here: `owner/name[:config][@split]`."""
    return bool(_DATASET.fullmatch(calib)) and not Path(calib).expanduser().exists()


def described(calib: str, *, media: bool) -> str:
    """What `calib` means, for the plan; BadInput if it means nothing."""
    beside = ", with the bundled pictures and clips" if media and not _has_media(calib) else ""
    if calib == BUNDLED:
        return "the bundled text" + beside
    if is_dataset(calib):
        return f"{calib} from the model hub{beside}"
    path = Path(calib).expanduser()
    if not path.is_file():
        raise BadInput(f"There is no calibration text at {calib}: check the path, or name a data set as owner/name.")
    return path.name + beside


def gather(
    calib: str,
    samples: int,
    *,
    media: bool,
    progress: Callable[[int], None] = lambda _: None,
    service: str | None = None,
) -> Calibration:
    """The files to calibrate with, fetched if need be; `media` adds the bundled pictures and clips to text alone.

    BadInput or UsageError for what cannot be read, EngineError where the hub can't be reached; each is one sentence.
    """
    own = asset("calibration")
    extra = (own / "media.jsonl",) if media and not _has_media(calib) else ()
    name = "bundled text" if calib == BUNDLED else calib if is_dataset(calib) else Path(calib).name
    name += " with the bundled pictures and clips" if extra else ""
    if calib == BUNDLED:
        return Calibration(name, (own / "text.jsonl", *extra), bool(extra))
    if is_dataset(calib):
        return Calibration(name, (_fetched(calib, samples, progress, service or _service()), *extra), bool(extra))
    path = Path(calib).expanduser()
    try:
        held = path.read_text("utf-8")
    except OSError as error:
        raise BadInput(f"The calibration text {calib} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(
            f"The calibration text {calib} is not valid UTF-8: convert it, for example with iconv."
        ) from None
    if not held.strip():
        raise BadInput(f"The calibration text {calib} is empty: give one that holds text.")
    return Calibration(name, (path.absolute(), *extra), bool(extra) or _has_media(calib))


def _has_media(calib: str) -> bool:
    """Whether a JSON-lines file brings pictures or clips of its own."""
    path = Path(calib).expanduser()
    if path.suffix not in (".jsonl", ".json") or not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return any(re.search(r'"(image|audio)"\s*:\s*"', line) for line in file)


def _service() -> str:
    return os.environ.get("GEMMA_TUI_DATASETS_SERVER", SERVICE).rstrip("/")


def _fetched(calib: str, samples: int, progress: Callable[[int], None], service: str) -> Path:
    """The first `samples` texts of a data set, as JSON lines in the cache folder; fetched once."""
    key = hashlib.sha256(f"{service} {calib} {samples}".encode()).hexdigest()[:12]
    path = ensure(cache_dir() / "calibration") / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', calib)}-{samples}-{key}.jsonl"
    if path.is_file():
        return path
    texts: list[str] = []
    for text in _rows(calib, samples, service):
        texts.append(text)
        progress(len(texts))
    if not texts:
        raise BadInput(f"The data set {calib} holds no text: name another.")
    partial = path.with_suffix(".partial")
    partial.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8")
    partial.replace(path)
    return path


def _rows(calib: str, samples: int, service: str) -> Iterator[str]:
    from huggingface_hub import get_token

    named = _DATASET.fullmatch(calib)
    assert named is not None
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx2.Client(base_url=service, headers=headers, timeout=60.0) as hub:
        config, split = _part(hub, named["name"], named["config"], named["split"])
        column = ""
        for offset in range(0, samples, PAGE):
            where = {"dataset": named["name"], "config": config, "split": split, "offset": str(offset)}
            answer = _ask(hub, "/rows", {**where, "length": str(min(PAGE, samples - offset))}, named["name"])
            column = column or _column(answer, calib)
            rows = answer.get("rows") or []
            for row in rows:
                text = (row.get("row") or {}).get(column)
                if isinstance(text, str) and text.strip():
                    yield text
            if len(rows) < PAGE:
                return


def _part(hub: httpx2.Client, name: str, config: str | None, split: str | None) -> tuple[str, str]:
    """Which configuration and split: those asked for, else the only or the default one, and `train`."""
    parts = [
        (str(each["config"]), str(each["split"])) for each in _ask(hub, "/splits", {"dataset": name}, name)["splits"]
    ]
    configs = list(dict.fromkeys(each for each, _ in parts))
    chosen = config or ("default" if "default" in configs else configs[0] if len(configs) == 1 else None)
    if chosen not in configs:
        raise UsageError(
            f"The data set {name} comes in {', '.join(configs[:12])}: name one as in --calib {name}:{configs[0]}."
        )
    splits = [each for owner, each in parts if owner == chosen]
    found = split or ("train" if "train" in splits else splits[0])
    if found not in splits:
        raise UsageError(f"The data set {name} has no split {found}: it has {', '.join(splits)}.")
    return chosen, found


def _column(answer: dict[str, Any], calib: str) -> str:
    strings = [
        str(feature["name"])
        for feature in answer.get("features") or []
        if isinstance(feature.get("type"), dict) and feature["type"].get("dtype") in ("string", "large_string")
    ]
    if not strings:
        raise BadInput(f"The data set {calib} has no column of text: name another.")
    return next((name for name in TEXT_COLUMNS if name in strings), strings[0])


def _ask(hub: httpx2.Client, path: str, parameters: dict[str, str], name: str) -> dict[str, Any]:
    try:
        response = hub.get(path, params=parameters)
    except (httpx2.TransportError, OSError):
        raise EngineError(
            f"The data set {name} can't be fetched, since the model hub is not reached: check the network, or give "
            "--calib a file, or `bundled`."
        ) from None
    if response.status_code in (401, 403):
        raise UsageError(f"The data set {name} is private or gated: accept its terms and set HF_TOKEN.")
    if response.status_code == 404:
        raise UsageError(f"The model hub has no data set {name}: check the name.")
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if response.status_code != 200 or not isinstance(answer, dict):
        raise EngineError(
            f"The model hub answered with HTTP {response.status_code} for the data set {name}: try again later, or "
            "give --calib a file."
        )
    return answer
