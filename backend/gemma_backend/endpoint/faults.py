"""What went wrong on the way to a server, as a sentence that says what to do; pure functions on errors and answers."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from gemma_backend.endpoint.address import place
from gemma_backend.types import Endpoint

QUOTE_LIMIT = 400
_REFUSED_NUMBERS = {61, 111, 10061, 1225}
_NO_SUCH_SOCKET = {2}


def transport_sentence(error: BaseException, endpoint: Endpoint) -> str:
    """Say why no answer came from `endpoint`: `error` is a failure of the HTTP client, whatever it was raised from."""
    where = place(endpoint)
    chain = list(_chain(error))
    if endpoint.tunnel is not None and any(
        isinstance(link, ConnectionRefusedError) or getattr(link, "errno", None) in _NO_SUCH_SOCKET for link in chain
    ):
        return f"The ssh connection to {where} is down; it is opened again as soon as the host answers."
    names = {type(link).__name__ for link in chain}
    if names & {"ConnectTimeout", "PoolTimeout"}:
        return f"{where} did not take the connection in time: check the address, the network and any firewall."
    if names & {"ReadTimeout", "WriteTimeout", "TimeoutError"}:
        return f"{where} took the connection but did not answer in time: check that it is a running OpenAI server."
    for link in chain:
        if isinstance(link, ssl.SSLError):
            return _tls_sentence(link, where)
        if isinstance(link, socket.gaierror):
            return f"The host name in {where} is not known: check its spelling and the network."
        if isinstance(link, ConnectionRefusedError) or getattr(link, "errno", None) in _REFUSED_NUMBERS:
            return f"Nothing listens at {where}: start the server there, or give another address with --url."
        if endpoint.socket is not None and getattr(link, "errno", None) in _NO_SUCH_SOCKET:
            return f"There is no socket {endpoint.socket}: start the server that listens on it."
        if isinstance(link, OSError) and link.strerror and not isinstance(link, TimeoutError):
            return f"{where} cannot be reached: {link.strerror}."
    if "ProxyError" in names:
        return f"The proxy on the way to {where} refused: check HTTPS_PROXY, or add the host to NO_PROXY."
    if names & {"RemoteProtocolError", "LocalProtocolError", "ReadError"}:
        return f"{where} did not answer in HTTP: check that the address is that of an OpenAI server, and http or https."
    return f"{where} cannot be reached: {str(error) or type(error).__name__}."


def status_sentence(status: int, body: bytes, endpoint: Endpoint) -> str:
    """Say what an answer other than 200 means; `body` may be JSON, HTML or nothing."""
    where = place(endpoint)
    said = server_message(body)
    if status in (401, 403):
        if endpoint.api_key is None:
            return f"{where} wants an API key: give --api-key-file FILE, or set GEMMA_TUI_API_KEY."
        return f"{where} refused the API key: check the key given by --api-key-file or GEMMA_TUI_API_KEY."
    if 300 <= status < 400:
        return f"{where} sends requests on to another address: give that one with --url."
    if status == 429:
        return f"{where} has too much to do or a limit is used up (429): wait a little and try again.{_quoted(said)}"
    if status in (502, 503, 504):
        return f"{where} answers {status}: the server behind it is down or still starting.{_quoted(said)}"
    if status >= 500:
        return f"{where} failed with an error of its own ({status}): look into its log.{_quoted(said)}"
    if status in (404, 405) and said is None:
        return f"{where} is no OpenAI server (it answered {status}): check address and port."
    return f"{where} refused the request ({status}).{_quoted(said)}"


def server_message(body: bytes | str | dict[str, Any] | None) -> str | None:
    """The message in an error answer of an OpenAI-like server, on one line and bounded, or None where there is none."""
    if isinstance(body, bytes | str):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            return None
    if not isinstance(body, dict):
        return None
    for found in (body.get("error"), body.get("detail"), body.get("message")):
        message = found.get("message") if isinstance(found, dict) else found
        if isinstance(message, list) and message and isinstance(message[0], dict):
            message = message[0].get("msg")
        if isinstance(message, str) and message.strip():
            line = re.sub(r"\s+", " ", message).strip()
            return line if len(line) <= QUOTE_LIMIT else line[: QUOTE_LIMIT - 1] + "…"
    return None


def _quoted(said: str | None) -> str:
    return f" It says: {said}" if said else ""


def _tls_sentence(error: ssl.SSLError, where: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".") if error.verify_message else "verification failed"
        return (
            f"The certificate of {where} is not trusted ({why}): give its CA with --ca-file FILE, "
            "or --insecure if you accept the risk."
        )
    if "WRONG_VERSION_NUMBER" in str(error) or "HTTP_REQUEST" in str(error):
        return f"{where} does not speak TLS: try http:// instead of https://."
    return f"No encrypted connection to {where} could be set up ({error.reason or 'TLS failed'}): check the address."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        link = waiting.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        if isinstance(link, BaseExceptionGroup):
            waiting.extend(link.exceptions)
        waiting.extend((link.__cause__, link.__context__))
