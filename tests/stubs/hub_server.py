"""A local server with as much of the model hub's API as a download uses, over real sockets, with faults on request."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Larger ones are kept by the hub outside the repository, by their checksums.
SMALL = 1000
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves `files` as the repository `owner/model`; `requests` are the paths and ranges that were asked for."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.requests: list[tuple[str, str | None]] = []
        self.tokens: list[str | None] = []
        self.refuse: tuple[int, str] | None = None
        self.cut_after: int | None = None
        self.damaged: str | None = None
        self.commit = COMMIT
        # An HTTP status for every file, ranges passed over, bytes in the place of the repository's description, and
        # how many bytes of large files a second.
        self.refuse_files: int | None = None
        self.ignore_ranges = False
        self.description: bytes | None = None
        self.rate: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        hub.requests.append((f"{self.command} {path}", self.headers.get("Range")))
        hub.tokens.append(self.headers.get("Authorization"))
        if hub.refuse is not None:
            code, reason = hub.refuse
            self._send(code, b"{}", body, {"X-Error-Code": reason})
        elif path.startswith("/api/models/owner/model") and hub.description is not None:
            self._send(200, hub.description, body, {"Content-Type": "application/json"})
        elif hub.refuse_files is not None and "/resolve/" in path:
            self._send(hub.refuse_files, b"", body, {"Retry-After": "0"})
        elif path.startswith("/api/models/owner/model"):
            self._send(200, json.dumps(self._info()).encode(), body, {"Content-Type": "application/json"})
        elif path.startswith(f"/owner/model/resolve/{hub.commit}/"):
            self._file(path.rpartition(f"{hub.commit}/")[2], body)
        elif path.startswith("/owner/model/resolve/main/"):
            self._file(path.rpartition("resolve/main/")[2], body)
        else:
            self._send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})

    def _info(self) -> dict[str, object]:
        siblings = [
            {"rfilename": name, "size": len(data)}
            | ({"lfs": {"sha256": _sum(data), "size": len(data), "pointerSize": 1}} if len(data) > SMALL else {})
            for name, data in self.server.files.items()
        ]
        return {
            "id": "owner/model",
            "modelId": "owner/model",
            "sha": self.server.commit,
            "siblings": siblings,
            "tags": [],
        }

    def _file(self, name: str, body: bool) -> None:
        data = self.server.files.get(name)
        if data is None:
            self._send(404, b"{}", body, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": f'"{_sum(data)}"', "X-Repo-Commit": self.server.commit, "Accept-Ranges": "bytes"}
        if self.server.damaged == name:
            data = data[:-1] + bytes([data[-1] ^ 1])
        code, start = 200, 0
        if (asked := self.headers.get("Range")) and not self.server.ignore_ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            code, start = 206, int(first)
            stop = min(int(last), len(data) - 1) if last else len(data) - 1
            headers["Content-Range"] = f"bytes {start}-{stop}/{len(data)}"
            data = data[: stop + 1]
        self._send(code, data[start:], body, headers)

    def _send(self, code: int, data: bytes, body: bool, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not body:
            return
        cut = self.server.cut_after
        if cut is not None and len(data) > cut:
            self.wfile.write(data[:cut])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        start, slow = 0, len(data) > SMALL
        try:
            # Read anew each time, so that what was slow can be let go.
            while slow and start < len(data) and (rate := self.server.rate) is not None:
                self.wfile.write(data[start : start + rate // 20])
                start += rate // 20
                time.sleep(0.05)
            self.wfile.write(data[start:])
        except ConnectionError:
            self.close_connection = True


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def hub(files: dict[str, bytes]) -> Iterator[Hub]:
    """A running hub with `files`."""
    server = Hub(files)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
