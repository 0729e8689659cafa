"""Calibration samples: files, the bundled set, and data sets of a hub, which a small server stands in for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gemma_assets import path as asset
from gemma_backend.quantize.calibration import described, gather, is_dataset
from gemma_backend.types import BadInput, EngineError, UsageError

ARTICLES = [f"Article {number}." for number in range(250)]


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub's row service does, for one data set in two configurations."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        if asked["dataset"] == "me/secret":
            return self._answer(401, {"error": "no"})
        if asked["dataset"] != "me/news":
            return self._answer(404, {"error": "no"})
        if parts.path == "/splits":
            splits = [{"config": config, "split": split} for config in ("1.0", "2.0") for split in ("test", "train")]
            return self._answer(200, {"splits": splits})
        start, length = int(asked["offset"]), int(asked["length"])
        features = [{"name": "id", "type": {"dtype": "string"}}, {"name": "article", "type": {"dtype": "string"}}]
        rows = [{"row": {"id": "x", "article": text}} for text in ARTICLES[start : start + length]]
        return self._answer(200, {"features": features, "rows": rows})

    def _answer(self, code: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setenv("GEMMA_TUI_CACHE_DIR", str(tmp_path / "cache"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GEMMA_TUI_DATASETS_SERVER", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


def texts(file: Path) -> list[str]:
    return [json.loads(line)["text"] for line in file.read_text("utf-8").splitlines()]


def test_a_data_set_is_fetched_page_by_page_and_kept(hub: ThreadingHTTPServer) -> None:
    told: list[int] = []
    found = gather("me/news:2.0", 220, media=False, progress=told.append)
    assert texts(found.files[0]) == ARTICLES[:220]
    assert told[-1] == 220
    asked = list(hub.asked)  # type: ignore[attr-defined]
    assert len(asked) == 4
    assert all("config=2.0" in each and "split=train" in each for each in asked[1:])
    assert gather("me/news:2.0", 220, media=False) == found
    assert hub.asked == asked  # type: ignore[attr-defined]


def test_a_data_set_that_is_shorter_is_taken_whole(hub: ThreadingHTTPServer) -> None:
    assert texts(gather("me/news:1.0@test", 512, media=False).files[0]) == ARTICLES


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("me/news", "comes in 1.0, 2.0: name one as in --calib me/news:1.0"),
        ("me/news:3.0", "comes in 1.0, 2.0"),
        ("me/news:1.0@dev", "no split dev: it has test, train"),
        ("me/secret", "private or gated"),
        ("me/nothing", "no data set me/nothing"),
    ],
)
def test_what_the_hub_does_not_have_gets_a_sentence(hub: ThreadingHTTPServer, name: str, wanted: str) -> None:
    with pytest.raises(UsageError, match=wanted):
        gather(name, 10, media=False)


def test_a_hub_that_is_not_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMA_TUI_CACHE_DIR", str(tmp_path))
    with pytest.raises(EngineError, match="hub is not reached"):
        gather("me/news", 10, media=False, service="http://127.0.0.1:9")


def test_the_bundled_set_has_text_pictures_and_clips() -> None:
    text, media = gather("bundled", 512, media=True).files
    assert len(texts(text)) > 150
    rows = [json.loads(line) for line in media.read_text("utf-8").splitlines()]
    for kind in ("image", "audio"):
        files = [row[kind] for row in rows if kind in row]
        assert len(files) == len(set(files)) >= 20
        assert all((media.parent / name).is_file() for name in files)
    assert "Apache-2.0" in asset("calibration", "README.md").read_text("utf-8")
    assert gather("bundled", 512, media=False).files == (text,)


def test_text_gets_the_bundled_pictures_beside_it_and_rows_with_media_do_not(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.jsonl").write_text('{"text": "one", "image": "a.png"}\n')
    plain, own = str(tmp_path / "a.txt"), str(tmp_path / "b.jsonl")
    assert [file.name for file in gather(plain, 9, media=True).files] == ["a.txt", "media.jsonl"]
    assert [file.name for file in gather(own, 9, media=True).files] == ["b.jsonl"]
    assert described(plain, media=True) == "a.txt, with the bundled pictures and clips"
    assert described(own, media=True) == "b.jsonl"


def test_files_that_can_not_be_read_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no calibration text"):
        described(str(tmp_path / "none.txt"), media=False)
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not valid UTF-8"):
        gather(str(tmp_path / "a.txt"), 9, media=False)
    (tmp_path / "b.txt").write_text("\n \n")
    with pytest.raises(BadInput, match="is empty"):
        gather(str(tmp_path / "b.txt"), 9, media=True)
    assert not is_dataset(str(tmp_path / "a.txt"))
    assert is_dataset("abisee/cnn_dailymail:3.0.0")
