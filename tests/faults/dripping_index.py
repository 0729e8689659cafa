"""A package index that has every package, and sends each so slowly that no download ever ends."""

from __future__ import annotations

import http.server
import threading
import time
from types import TracebackType
from typing import Self


class DrippingIndex(http.server.ThreadingHTTPServer):
    """Listens on a port of 127.0.0.1 until the block is left."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Drip)
        self.done = threading.Event()

    @property
    def url(self) -> str:
        """What pip is told as its index."""
        return f"http://127.0.0.1:{self.server_address[1]}/simple"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done.set()
        self.shutdown()
        self.server_close()


class _Drip(http.server.BaseHTTPRequestHandler):
    server: DrippingIndex

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/simple/"):
            # pip takes the first page that it can read; whatever version it wants, the list is long in coming.
            self._send("text/html", b"<!doctype html><html><body>")
        else:
            self._send("application/octet-stream", b"PK")

    def _send(self, kind: str, start: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(1 << 30))
        self.end_headers()
        try:
            self.wfile.write(start)
            while not self.server.done.is_set():
                self.wfile.write(b" ")
                time.sleep(0.2)
        except OSError:
            return
