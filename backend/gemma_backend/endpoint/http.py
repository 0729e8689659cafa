"""HTTP clients for endpoints: over TCP or a Unix socket, with the endpoint's own certificates, bounded in time."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from functools import lru_cache
from urllib.parse import urlsplit

import httpx2

from gemma_backend.endpoint.address import EXAMPLE, is_local
from gemma_backend.types import BadInput, Endpoint, UsageError

CONNECT_SECONDS = 10.0
# Clients read the body of a refusal whole; a sentence is made of its first few hundred characters.
REFUSAL_BYTES = 64 << 10


def client(endpoint: Endpoint, *, read_seconds: float | None = 10.0) -> httpx2.AsyncClient:
    """Return a client for `endpoint`; paths such as `/v1/models` are relative to its base URL.

    Redirects are not followed: a key and a prompt go to the address that a person gave, or nowhere. A proxy from the
    environment is used only beyond this machine. `read_seconds` bounds the wait for each piece of an answer.
    Raises BadInput where the endpoint's certificate file holds no certificate, UsageError for a host that is no name.
    """
    try:
        return httpx2.AsyncClient(
            base_url=endpoint.base_url,
            headers={"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {},
            transport=_Transport(
                verify=ssl_context(endpoint), uds=endpoint.socket, proxy=_proxy(endpoint), trust_env=False
            ),
            timeout=httpx2.Timeout(read_seconds, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
            trust_env=False,
            follow_redirects=False,
        )
    except httpx2.InvalidURL:
        raise UsageError(f"{endpoint.base_url} is no address: its host is malformed; write it {EXAMPLE}.") from None


class _Transport(httpx2.AsyncHTTPTransport):
    """HTTP as ever, but a refusal's body ends after REFUSAL_BYTES however much the server sends."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if response.status_code >= 300 and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Start(response.stream)
        return response


class _Start(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = REFUSAL_BYTES
        async for part in self._stream:
            yield part[:left]
            left -= len(part)
            if left <= 0:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()


def ssl_context(endpoint: Endpoint) -> ssl.SSLContext:
    """Return what encrypts connections to `endpoint`; raises BadInput where its certificate file holds none."""
    if not endpoint.base_url.startswith("https://"):
        return _unused_context()
    return _verifying_context(endpoint.ca_file) if endpoint.verify else _trusting_context()


@lru_cache(maxsize=1)
def _unused_context() -> ssl.SSLContext:
    # Plain http never reads it, and loading the system's certificates takes tens of milliseconds.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@lru_cache(maxsize=1)
def _trusting_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@lru_cache(maxsize=8)
def _verifying_context(ca_file: str | None) -> ssl.SSLContext:
    try:
        if ca_file is not None:
            return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise BadInput(f"{ca_file} holds no certificate in PEM form; give the file of the server's CA.") from None
    return httpx2.create_ssl_context(trust_env=True)


def _proxy(endpoint: Endpoint) -> str | None:
    if is_local(endpoint) or endpoint.tunnel is not None:
        return None
    import urllib.request

    parts = urlsplit(endpoint.base_url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    url = proxies.get(parts.scheme) or proxies.get("all")
    # A SOCKS proxy needs a package that is not among ours; a name without a scheme is an HTTP proxy by custom.
    if url is None or url.startswith("socks"):
        return None
    return url if "://" in url else f"http://{url}"
