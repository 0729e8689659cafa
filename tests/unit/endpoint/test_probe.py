"""What a server offers, and the sentence for each way in which it cannot be asked; over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from gemma_backend.endpoint import http, probe
from gemma_backend.endpoint.address import parse_url
from gemma_backend.endpoint.probe import Offer, choose_model, offers, parse_models
from gemma_backend.types import BadInput, Endpoint, EndpointError, GemmaError, ModelInfo, UsageError
from stubs.openai_server import OpenAIServer


async def failure(endpoint: Endpoint) -> str:
    """The sentence that asking `endpoint` ends with."""
    with pytest.raises(EndpointError) as caught:
        await offers(endpoint)
    return str(caught.value)


async def test_a_vllm_offers_everything() -> None:
    async with OpenAIServer(models=["one", "two"]) as server:
        offer = await offers(parse_url(server.url + "/v1"))
    assert offer.models == (ModelInfo("one", 4096, "stub"), ModelInfo("two", 4096, "stub"))
    assert (offer.version, offer.has_metrics, offer.has_tokenize) == ("0.32.0", True, True)


async def test_a_server_that_has_only_the_protocol_is_fine() -> None:
    async with OpenAIServer(version=None, metrics=False) as server:
        offer = await offers(parse_url(server.url))
    assert (offer.version, offer.has_metrics, offer.has_tokenize) == (None, False, False)
    assert offer.models


async def test_metrics_of_something_else_are_none() -> None:
    async with OpenAIServer(answers={"/metrics": (200, {}, b"llamacpp:tokens_total 1\n")}) as server:
        assert not (await offers(parse_url(server.url))).has_metrics


async def test_a_socket_is_asked_like_a_port(tmp_path: Path) -> None:
    async with OpenAIServer(socket=str(tmp_path / "s")) as server:
        assert (await offers(parse_url(server.url))).models[0].id == "stub/model"


async def test_the_key_is_sent_and_its_refusal_told() -> None:
    async with OpenAIServer(key="sesame") as server:
        assert (await offers(parse_url(server.url, api_key="sesame"))).models
        wrong = await failure(parse_url(server.url, api_key="guess"))
        missing = await failure(parse_url(server.url))
    assert "refused the API key" in wrong
    assert "guess" not in wrong
    assert "wants an API key" in missing
    assert "--api-key-file" in missing


async def test_nothing_listens() -> None:
    async with OpenAIServer() as server:
        url = server.url
    assert "Nothing listens at" in await failure(parse_url(url))


async def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    assert "There is no socket" in await failure(parse_url(f"unix:{tmp_path}/none"))


async def test_an_unknown_host() -> None:
    assert "host name" in await failure(parse_url("http://no-such-host.invalid:8000"))


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (404, b"<html>not here</html>", "no OpenAI server"),
        (200, b"<html>welcome</html>", "no OpenAI server"),
        (200, b'{"data": 5}', "no OpenAI server"),
        (200, b"[" * 100_000, "no OpenAI server"),
        (500, b'{"error": {"message": "boom \\u001b[31m"}}', "look into its log"),
        (503, b"", "still starting"),
        (429, b"", "too much to do"),
    ],
)
async def test_answers_that_are_none(status: int, body: bytes, hint: str) -> None:
    async with OpenAIServer(answers={"/v1/models": (status, {}, body)}) as server:
        assert hint in await failure(parse_url(server.url))


async def raw_server(answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]) -> asyncio.Server:
    """A TCP server that does what `answer` says with each connection."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer(reader, writer)
        await asyncio.sleep(0)

    return await asyncio.start_server(connected, "127.0.0.1", 0)


async def test_a_server_of_another_protocol() -> None:
    def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        writer.close()

    async with await raw_server(greet) as server:
        port = server.sockets[0].getsockname()[1]
        assert "did not answer in HTTP" in await failure(parse_url(f"http://127.0.0.1:{port}"))
        assert "does not speak TLS" in await failure(parse_url(f"https://127.0.0.1:{port}"))


async def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.2)
    kept = []

    def keep(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept.append(writer)

    async with await raw_server(keep) as server:
        port = server.sockets[0].getsockname()[1]
        assert "did not answer in time" in await failure(parse_url(f"http://127.0.0.1:{port}"))
        kept[0].close()


async def test_a_redirect_on_the_same_host_is_taken_as_the_address() -> None:
    async with OpenAIServer() as server:
        moved = {"/old/v1/models": (308, {"Location": f"{server.url}/v1/models"}, b"")}
        server.answers = moved
        offer = await offers(parse_url(f"{server.url}/old"))
        assert offer.endpoint is not None
        assert offer.endpoint.base_url == server.url


async def test_a_redirect_elsewhere_is_told_and_not_followed() -> None:
    async with OpenAIServer() as server:
        server.answers = {"/v1/models": (302, {"Location": "http://elsewhere.invalid/v1/models"}, b"")}
        sentence = await failure(parse_url(server.url, api_key="k"))
    assert "http://elsewhere.invalid/v1/models" in sentence
    assert "if you trust it" in sentence


@pytest.mark.parametrize("target", ["http://[bad/v1/models", "http://127.0.0.1:port/v1/models"])
async def test_a_redirect_to_no_address_is_told(target: str) -> None:
    async with OpenAIServer(answers={"/v1/models": (307, {"Location": target}, b"")}) as server:
        with pytest.raises(GemmaError, match="address"):
            await offers(parse_url(server.url))


@pytest.mark.parametrize("url", ["http://é..", "http://[v1.a]/v1"])
async def test_a_host_that_is_no_name_is_told(url: str) -> None:
    with pytest.raises(UsageError, match="host is malformed"):
        await offers(parse_url(url))


async def test_a_circle_of_redirects_ends() -> None:
    async with OpenAIServer() as server:
        server.answers = {"/v1/models": (307, {"Location": "/v1/models"}, b"")}
        assert "in a circle" in await failure(parse_url(server.url))
        assert len(server.requests) < 10


async def test_certificates(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    async with OpenAIServer(tls=context) as server:
        untrusted = await failure(parse_url(server.url))
        assert "--ca-file" in untrusted
        assert "--insecure" in untrusted
        assert (await offers(parse_url(server.url, ca_file=str(ca_file)))).models
        assert (await offers(parse_url(server.url, insecure=True))).models
        plain = await failure(parse_url(server.url.replace("https", "http")))
        assert "http or https" in plain
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(BadInput, match="holds no certificate"):
        http.client(parse_url("https://host", ca_file=str(tmp_path / "none.pem")))


async def test_a_proxy_is_never_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with OpenAIServer() as server:
        assert (await offers(parse_url(server.url))).models
    assert "Nothing listens" in await failure(parse_url("http://192.0.2.1:8000"))


def test_the_only_model_is_taken() -> None:
    assert choose_model(Offer((ModelInfo("m"),)), None, Endpoint("http://h")).id == "m"


def test_several_models_need_a_choice() -> None:
    offer = Offer((ModelInfo("google/gemma-4-E2B"), ModelInfo("other")))
    endpoint = Endpoint("http://h")
    assert choose_model(offer, "other", endpoint).id == "other"
    with pytest.raises(UsageError, match=r"--model: google/gemma-4-E2B, other"):
        choose_model(offer, None, endpoint)
    with pytest.raises(UsageError, match=r"did you mean google/gemma-4-E2B\?"):
        choose_model(offer, "gemma-4-E2B", endpoint)
    with pytest.raises(UsageError, match="it serves google/gemma-4-E2B, other"):
        choose_model(offer, "zzz", endpoint)
    with pytest.raises(EndpointError, match="serves no model"):
        choose_model(Offer(()), None, endpoint)


def test_lists_of_models_as_servers_write_them() -> None:
    assert parse_models(b'{"object": "list", "data": null}') == ()
    llama = b'{"object":"list","data":[{"id":"m","object":"model","owned_by":"llamacpp","meta":{"n_ctx_train":8192}}]}'
    assert parse_models(llama) == (ModelInfo("m", 8192, "llamacpp"),)
    assert parse_models(b'{"data": [{"id": "a"}, {"id": 5}, "b", {"id": "a"}]}') == (ModelInfo("a"),)
    assert parse_models(b'{"data": [{"id": "a", "max_model_len": "huge"}]}') == (ModelInfo("a"),)
    assert parse_models(b"{}") is None
