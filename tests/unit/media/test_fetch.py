"""Files from an address, over real HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gemma_backend.media import fetch
from gemma_backend.media.fetch import fetched, host_of, is_url
from gemma_backend.types import BadInput

PNG = b"\x89PNG\r\n\x1a\n" + bytes(1000)


class Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        where = self.path
        if where.startswith("/round"):
            self.send_response(302)
            self.send_header("Location", "/round")
            self.end_headers()
        elif where == "/moved":
            self.send_response(301)
            self.send_header("Location", "/a%20cat.png")
            self.end_headers()
        elif where == "/away":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        elif where == "/slow":
            time.sleep(3)
        elif where.endswith(".png"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PNG)
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


async def test_a_file_is_there_under_its_name_and_gone_afterwards(address: str) -> None:
    for place in ("/a%20cat.png", "/moved"):
        async with fetched(address + place) as path:
            assert path.read_bytes() == PNG
            assert path.stat().st_mode & 0o077 == 0
            if place != "/moved":
                assert path.name == "a cat.png"
        assert not path.exists()
        assert not path.parent.exists()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("/gone", "answers 404"),
        ("/round", "from one address to the next"),
        ("/away", "where nothing is fetched from"),
        ("/slow", "took more than"),
    ],
)
async def test_what_cannot_be_had_is_a_sentence(
    address: str, place: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "SECONDS", 0.5 if place == "/slow" else 30.0)
    with pytest.raises(BadInput, match=said):
        async with fetched(address + place):
            raise AssertionError


async def test_more_than_the_limit_is_not_taken(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MAX_BYTES", 500)
    with pytest.raises(BadInput, match="more than"):
        async with fetched(address + "/a.png"):
            raise AssertionError


async def test_a_host_that_is_not_there() -> None:
    with pytest.raises(BadInput, match="cannot be reached"):
        async with fetched("http://127.0.0.1:9/a.png"):
            raise AssertionError


@pytest.mark.parametrize("text", ["http://host/a.png", "https://host:8000/a?b=c", "HTTP://host"])
def test_addresses(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize(
    "text", ["", "host/a.png", "ftp://host/a", "file:///a", "http:///a", "http://a b", "http://[x"]
)
def test_what_is_no_address(text: str) -> None:
    assert not is_url(text)


def test_a_key_in_an_address_is_not_shown() -> None:
    assert host_of("https://me:secret@host:8000/a") == "host:8000"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/a/b.png", "b.png"),
        ("http://h/a%2Fb.png", "a_b.png"),
        ("http://h/..", "file"),
        ("http://h/.hidden", "hidden"),
        ("http://h/", "file"),
        ("http://h/" + "a" * 300, "a" * 100),
    ],
)
def test_names(url: str, name: str) -> None:
    assert fetch._name(url) == name
