"""Fetching a checkpoint, from a small server that speaks the hub's protocol."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

FILES = {"config.json": b"{}", "model.safetensors": b"x" * 1000}


class Hub(ThreadingHTTPServer):
    """Serves one repository, or stalls, or knows nothing."""

    daemon_threads = True
    mode = "whole"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.gate = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        if self.server.mode == "stall":
            self.server.gate.wait()
        if self.server.mode == "missing":
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        name = self.path.rsplit("/", 1)[-1].partition("?")[0]
        if self.path.startswith("/api/"):
            siblings = [{"rfilename": file, "size": len(data)} for file, data in FILES.items()]
            tree = [{"type": "file", "path": file, "size": len(data), "oid": "0" * 40} for file, data in FILES.items()]
            about = {"id": "some/model", "sha": "a" * 40, "siblings": siblings}
            data = json.dumps(tree if "/tree/" in self.path else about).encode()
        else:
            data = FILES[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{name}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.end_headers()
        if body:
            self.wfile.write(data)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        yield server
        server.gate.set()
        server.shutdown()


def test_a_repository_is_fetched_whole(hub: Hub) -> None:
    from gemma_backend.checkpoint.download import download

    folder = download("some/model", 1002)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert folder.is_relative_to(os.environ["HF_HOME"])


def test_a_repository_that_is_not_there_is_a_sentence(hub: Hub) -> None:
    from gemma_backend.checkpoint.download import download
    from gemma_backend.types import EngineError

    hub.mode = "missing"
    with pytest.raises(EngineError, match="There is no such repository"):
        download("some/model", 1002)


def test_it_can_be_stopped_at_any_moment(hub: Hub) -> None:
    from gemma_backend.checkpoint.download import download
    from gemma_backend.types import EngineError

    hub.mode = "stall"
    looks: list[str] = []
    with pytest.raises(EngineError, match="was stopped"):
        download("some/model", 1002, progress=lambda share, text: looks.append(text), cancelled=lambda: len(looks) > 3)
    assert all("some/model" in text for text in looks)
