"""A picture or clip from an address, for a person who asked for it: bounded in bytes, seconds and redirects."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2

from gemma_backend.text.clean import clean
from gemma_backend.types import BadInput

MAX_BYTES = 64 << 20
SECONDS = 60.0
MAX_REDIRECTS = 5

_URL = re.compile(r"https?://\S+", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Whether `text` is an address that can be fetched."""
    if not _URL.fullmatch(text):
        return False
    try:
        return bool(urlsplit(text).hostname)
    except ValueError:
        return False


def host_of(url: str) -> str:
    """The host of an address, made harmless, for asking whether to fetch from it."""
    return clean(urlsplit(url).netloc.rpartition("@")[2], keep_newlines=False)


@asynccontextmanager
async def fetched(url: str) -> AsyncIterator[Path]:
    """Fetch `url` into a file that is there for as long as the context, named as the address says.

    Raises BadInput in a sentence where it cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="gemma-tui-") as folder:
        path = Path(folder) / _name(url)
        try:
            async with asyncio.timeout(SECONDS):
                await _download(url, path)
        except TimeoutError:
            raise BadInput(f"{host_of(url)} took more than {SECONDS:.0f} s: fetch the file yourself.") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            reason = clean(str(error), keep_newlines=False) or type(error).__name__
            raise BadInput(f"{host_of(url)} cannot be reached ({reason}): check the address.") from None
        yield path


async def _download(url: str, path: Path) -> None:
    async with httpx2.AsyncClient(timeout=10.0, follow_redirects=False) as client:
        for _ in range(MAX_REDIRECTS + 1):
            async with client.stream("GET", url, headers={"Accept": "image/*, audio/*, */*;q=0.5"}) as response:
                if response.is_redirect:
                    target = str(response.url.join(response.headers.get("location", "")))
                    if not is_url(target) or (url.startswith("https:") and not target.startswith("https:")):
                        raise BadInput(f"{host_of(url)} sends on to where nothing is fetched from: check the address.")
                    url = target
                    continue
                if response.status_code != 200:
                    raise BadInput(
                        f"{host_of(url)} answers {response.status_code} instead of a file: check the address."
                    )
                await _write(response, path)
                return
    raise BadInput(f"{host_of(url)} sends on from one address to the next: give the file's own.")


async def _write(response: httpx2.Response, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    size = 0
    with os.fdopen(descriptor, "wb") as file:
        async for piece in response.aiter_bytes():
            size += len(piece)
            if size > MAX_BYTES:
                raise BadInput(f"What is there has more than {MAX_BYTES / 1e6:,.0f} MB: fetch and cut it yourself.")
            file.write(piece)


def _name(url: str) -> str:
    last = unquote(urlsplit(url).path.rpartition("/")[2])
    return re.sub(r"[\0/\\]", "_", last)[-100:].lstrip(".") or "file"
