"""From what a person types to an endpoint: its address, its key, and what is risky about them."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from gemma_backend.text.given import read_given
from gemma_backend.types import BadInput, Endpoint, UsageError

EXAMPLE = "for example --url http://localhost:8000/v1"
# Paths that people copy along with the address, and that the protocol's own paths are appended to again.
_KNOWN_TAILS = re.compile(r"/(chat/completions|completions|models|responses)$")
_KEY = re.compile(r"[\x21-\x7e]+")
_KEY_FILE_LIMIT = 64 * 1024
_PIPE_SECONDS = 5.0


def parse_url(text: str, *, api_key: str | None = None, ca_file: str | None = None, insecure: bool = False) -> Endpoint:
    """Return the endpoint at `text`: an http(s) URL with or without `/v1`, `unix:/path/of/a.sock`, or `ssh://host`.

    Raises UsageError with what is wrong with the address, and BadInput where `ca_file` cannot be read.
    """
    text = text.strip()
    _check_ca_file(ca_file)
    if text.startswith("unix:"):
        return dataclasses.replace(_unix(text), api_key=api_key)
    if not text or any(character.isspace() or not character.isprintable() for character in text):
        raise UsageError(f"{text!r} is no address; give one without spaces, {EXAMPLE}.")
    scheme, separator, _ = text.partition("://")
    if not separator:
        raise UsageError(f"{text!r} does not say how to reach the server; did you mean --url http://{text.strip('/')}?")
    if scheme.lower() == "ssh":
        return _ssh(text, api_key)
    if scheme.lower() not in ("http", "https"):
        raise UsageError(f"{scheme}:// is no way to reach an OpenAI server; give http:// or https://, {EXAMPLE}.")
    parts = _split(text)
    path = _KNOWN_TAILS.sub("", parts.path.rstrip("/")).removesuffix("/v1").rstrip("/")
    return Endpoint(
        base_url=f"{parts.scheme}://{parts.netloc}{path}", api_key=api_key, ca_file=ca_file, verify=not insecure
    )


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address, brackets or not) can only be this machine."""
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def is_local(endpoint: Endpoint) -> bool:
    """Whether requests to `endpoint` never leave this machine."""
    if endpoint.tunnel is not None:
        return False
    return endpoint.socket is not None or is_loopback(urlsplit(endpoint.base_url).hostname or "")


def place(endpoint: Endpoint) -> str:
    """The endpoint's address as a person knows it, for messages."""
    if endpoint.tunnel is not None:
        return endpoint.tunnel
    return f"the socket {endpoint.socket}" if endpoint.socket else endpoint.base_url


def find_key(file: str | None = None) -> str | None:
    """Return the API key from `file`, else from GEMMA_TUI_API_KEY or OPENAI_API_KEY, else None.

    Raises BadInput where the file cannot be read or holds no key.
    """
    if file is not None:
        return _key_from(Path(file).expanduser())
    for variable in ("GEMMA_TUI_API_KEY", "OPENAI_API_KEY"):
        if value := os.environ.get(variable, "").strip():
            if not _KEY.fullmatch(value):
                raise BadInput(f"The key in {variable} holds characters that no key can have; set it again.")
            return value
    return None


def key_warning(endpoint: Endpoint) -> str | None:
    """The sentence to show once where a key would travel unencrypted beyond this machine."""
    if (
        endpoint.tunnel is not None
        or endpoint.api_key is None
        or is_local(endpoint)
        or not endpoint.base_url.startswith("http://")
    ):
        return None
    return f"The API key travels unencrypted to {endpoint.base_url}: use https, or an ssh tunnel to a local port."


def _key_from(path: Path) -> str:
    try:
        data = read_given(path, _KEY_FILE_LIMIT, pipe_seconds=_PIPE_SECONDS)
    except FileNotFoundError:
        raise BadInput(f"There is no key file {path}; write the key into it, or leave --api-key-file out.") from None
    except OSError as error:
        raise BadInput(f"The key file {path} cannot be read: {error.strerror}.") from None
    lines = data.decode("utf-8-sig", errors="replace").split("\n")
    key = next((line.strip() for line in lines if line.strip()), "")
    if not key:
        raise BadInput(f"The key file {path} is empty; write the key into it as one line.")
    if not _KEY.fullmatch(key):
        raise BadInput(f"The first line of {path} is no API key; write the key alone on one line.")
    return key


def _check_ca_file(ca_file: str | None) -> None:
    if ca_file is not None:
        if Path(ca_file).is_fifo():
            raise BadInput(f"The certificate file {ca_file} is a pipe: give a file, which is read more than once.")
        try:
            with Path(ca_file).open("rb"):
                pass
        except OSError as error:
            raise BadInput(f"The certificate file {ca_file} cannot be read: {error.strerror}.") from None


def _unix(text: str) -> Endpoint:
    path = text.removeprefix("unix:")
    path = path.removeprefix("//") if path.startswith("//") else path
    if not path.startswith("/"):
        raise UsageError(f"{text!r} names no socket; give its full path, for example --url unix:/run/vllm.sock.")
    return Endpoint(base_url="http://localhost", socket=path)


def _ssh(text: str, api_key: str | None) -> Endpoint:
    from gemma_backend.endpoint.tunnel import parse_ssh

    return Endpoint(base_url="http://localhost", api_key=api_key, tunnel=str(parse_ssh(text)))


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        # Looked at before anything is quoted, so that no sentence repeats a password.
        if "@" in parts.netloc:
            raise UsageError("A key does not belong in the address; put it into a file and give --api-key-file FILE.")
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{text!r} is no address: its host or port is malformed; write it {EXAMPLE}.") from None
    if not host:
        raise UsageError(f"{text!r} names no host; write it {EXAMPLE}.")
    if parts.query or parts.fragment:
        raise UsageError(f"{text!r} goes on after its path; leave out what follows '?' or '#'.")
    if parts.scheme != parts.scheme.lower():
        parts = parts._replace(scheme=parts.scheme.lower())
    return parts
