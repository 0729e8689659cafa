"""What a server offers: its models, version, metrics and tokenizer."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

from gemma_backend.config.nearest import nearest
from gemma_backend.endpoint.address import place
from gemma_backend.endpoint.faults import status_sentence, transport_sentence
from gemma_backend.endpoint.http import client
from gemma_backend.types import Endpoint, EndpointError, ModelInfo, UsageError

PROBE_SECONDS = 20.0
MAX_REDIRECTS = 5
# A list of a thousand models is about 300 KB; vLLM's series start some 3 KB into its metrics.
_MODELS_LIMIT = 4 << 20
_METRICS_LIMIT = 256 << 10


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server offers; `endpoint` is where it was found, after redirects on the same host."""

    models: tuple[ModelInfo, ...]
    version: str | None = None
    has_metrics: bool = False
    has_tokenize: bool = False
    endpoint: Endpoint | None = None


async def offers(endpoint: Endpoint) -> Offer:
    """Ask `endpoint` what it offers; raises EndpointError with what a person can do, also where the key is refused."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            endpoint, models = await _models(endpoint)
            async with client(endpoint) as connection:
                version, has_metrics, has_tokenize = await asyncio.gather(
                    _version(connection), _has_metrics(connection), _has_tokenize(connection)
                )
    except TimeoutError as error:
        raise EndpointError(transport_sentence(error, endpoint)) from None
    return Offer(models, version, has_metrics, has_tokenize, endpoint)


def choose_model(offer: Offer, wanted: str | None, endpoint: Endpoint) -> ModelInfo:
    """Return the model called `wanted`, or the only one there is.

    Raises UsageError with the list where a choice is needed or the name is unknown, EndpointError where there is none.
    """
    if not offer.models:
        raise EndpointError(f"{place(endpoint)} serves no model: load one there first.")
    names = [model.id for model in offer.models]
    if wanted is None:
        if len(names) == 1:
            return offer.models[0]
        raise UsageError(f"{place(endpoint)} serves several models; choose one with --model: {_listed(names)}.")
    for model in offer.models:
        if model.id == wanted:
            return model
    guess = nearest(wanted, names) or next((name for name in names if wanted.lower() in name.lower()), None)
    hint = f"did you mean {guess}?" if guess else f"it serves {_listed(names)}."
    raise UsageError(f"{place(endpoint)} does not serve {wanted}; {hint}")


def parse_models(body: bytes) -> tuple[ModelInfo, ...] | None:
    """Read the answer of `/v1/models`; None where it is not of the OpenAI protocol."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    entries = answer.get("data") if isinstance(answer, dict) else None
    if entries is None and isinstance(answer, dict) and answer.get("object") == "list":
        # Ollama sends null where it has no model.
        entries = []
    if not isinstance(entries, list):
        return None
    found: dict[str, ModelInfo] = {}
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            owner = entry.get("owned_by")
            found[entry["id"]] = ModelInfo(entry["id"], _context_of(entry), owner if isinstance(owner, str) else None)
    return tuple(found.values())


def _context_of(entry: dict[str, Any]) -> int | None:
    # llama.cpp keeps it in `meta`, vLLM and SGLang beside the id.
    meta = entry.get("meta")
    candidates = [entry.get("max_model_len")]
    if isinstance(meta, dict):
        candidates.append(meta.get("n_ctx") or meta.get("n_ctx_train"))
    return next((value for value in candidates if type(value) is int and value > 0), None)


async def _models(endpoint: Endpoint) -> tuple[Endpoint, tuple[ModelInfo, ...]]:
    for _ in range(MAX_REDIRECTS + 1):
        try:
            async with client(endpoint) as connection:
                status, headers, body = await _get(connection, "/v1/models", _MODELS_LIMIT)
        except (httpx2.TransportError, OSError) as error:
            raise EndpointError(transport_sentence(error, endpoint)) from None
        if 300 <= status < 400 and "location" in headers:
            endpoint = _moved(endpoint, headers["location"])
            continue
        if status != 200:
            raise EndpointError(status_sentence(status, body, endpoint))
        models = parse_models(body)
        if models is None:
            raise EndpointError(
                f"{place(endpoint)} is no OpenAI server (its /v1/models is no list of models): check address and port."
            )
        return endpoint, models
    raise EndpointError(f"{place(endpoint)} redirects in a circle: give the server's own address with --url.")


def _moved(endpoint: Endpoint, location: str) -> Endpoint:
    try:
        target = urljoin(f"{endpoint.v1}/models", location)
        old, new = urlsplit(endpoint.base_url), urlsplit(target)
    except ValueError:
        raise EndpointError(
            f"{place(endpoint)} sends requests on to what is no address: look into its set-up."
        ) from None
    upgraded = new.scheme == old.scheme or new.scheme == "https"
    path = new.path.rstrip("/")
    if new.hostname != old.hostname or not upgraded or not path.endswith("/v1/models"):
        raise EndpointError(
            f"{place(endpoint)} sends requests on to {target}: give that address with --url if you trust it."
        )
    return dataclasses.replace(endpoint, base_url=f"{new.scheme}://{new.netloc}{path.removesuffix('/v1/models')}")


async def _get(connection: httpx2.AsyncClient, path: str, limit: int) -> tuple[int, httpx2.Headers, bytes]:
    """Status, headers and at most `limit` bytes of the body."""
    async with connection.stream("GET", path) as response:
        body = bytearray()
        try:
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) >= limit:
                    break
        except httpx2.DecodingError:
            body.clear()
        return response.status_code, response.headers, bytes(body[:limit])


async def _version(connection: httpx2.AsyncClient) -> str | None:
    try:
        status, _, body = await _get(connection, "/version", 4096)
        version = json.loads(body).get("version") if status == 200 else None
    except (httpx2.HTTPError, OSError, ValueError, AttributeError):
        return None
    return version if isinstance(version, str) else None


async def _has_metrics(connection: httpx2.AsyncClient) -> bool:
    try:
        status, _, body = await _get(connection, "/metrics", _METRICS_LIMIT)
    except (httpx2.HTTPError, OSError):
        return False
    return status == 200 and b"vllm:" in body


async def _has_tokenize(connection: httpx2.AsyncClient) -> bool:
    # The route takes POST alone, so a GET tells whether it is there without making the server work.
    try:
        status, _, _ = await _get(connection, "/tokenize", 4096)
    except (httpx2.HTTPError, OSError):
        return False
    return status == 405


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
