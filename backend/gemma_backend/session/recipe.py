"""The request that would be sent, as a curl command or a Python program; the key is never in it, only its variable."""

from __future__ import annotations

import json
import shlex
from typing import Any, Literal

from gemma_backend.chat.exchange import Request
from gemma_backend.types import Endpoint

KEY_VARIABLE = "OPENAI_API_KEY"
Language = Literal["curl", "python"]

# What the OpenAI client knows by name; the rest goes as `extra_body` (openai.resources.completions).
_NAMED = {
    "model", "prompt", "messages", "max_tokens", "temperature", "top_p", "n", "stream", "stream_options", "logprobs",
    "top_logprobs", "echo", "stop", "presence_penalty", "frequency_penalty", "seed", "response_format",
}  # fmt: skip


def recipe(language: Language, endpoint: Endpoint, request: Request) -> str:
    """A program in `language` that sends exactly `request` to `endpoint` and shows what comes."""
    return curl(endpoint, request) if language == "curl" else python(endpoint, request)


def curl(endpoint: Endpoint, request: Request) -> str:
    """A command for a POSIX shell; the body stands in a here-document, so that its length has no limit."""
    words = ["curl", "--no-buffer", "--silent", "--show-error"]
    if endpoint.socket is not None:
        words += ["--unix-socket", shlex.quote(endpoint.socket)]
    if endpoint.ca_file is not None and endpoint.base_url.startswith("https"):
        words += ["--cacert", shlex.quote(endpoint.ca_file)]
    if not endpoint.verify:
        words.append("--insecure")
    lines = [" ".join([*words, shlex.quote(endpoint.base_url + request.path)])]
    lines.append("  --header 'Content-Type: application/json'")
    if endpoint.api_key is not None:
        lines.append(f'  --header "Authorization: Bearer ${KEY_VARIABLE}"')
    lines.append("  --data-binary @- <<'JSON'")
    # JSON escapes every newline, so that no line of it can end the document early.
    return " \\\n".join(lines) + f"\n{json.dumps(request.body)}\nJSON\n"


def python(endpoint: Endpoint, request: Request) -> str:
    """A program for the OpenAI client."""
    named = {name: value for name, value in request.body.items() if name in _NAMED}
    extra = {name: value for name, value in request.body.items() if name not in _NAMED}
    lines = ["import os", ""] if endpoint.api_key is not None else []
    client, imports = _client(endpoint)
    lines = [*lines[:1], *imports, "from openai import OpenAI", "", *client, ""]
    method = "chat.completions" if request.chat else "completions"
    lines.append(f"reply = client.{method}.create(")
    lines += [f"    {name}={value!r}," for name, value in named.items()]
    if extra:
        lines += ["    extra_body={", *(f"        {name!r}: {value!r}," for name, value in extra.items()), "    },"]
    lines.append(")")
    said = "choice.delta.content" if request.chat else "choice.text"
    if named.get("stream"):
        lines += ["for chunk in reply:", "    for choice in chunk.choices:"]
        lines.append(f'        print({said} or "", end="", flush=True)')
    else:
        lines.append("print(reply.to_json())")
    return "\n".join(lines) + "\n"


def _client(endpoint: Endpoint) -> tuple[list[str], list[str]]:
    """The lines that make the client, and what they import."""
    key = f'os.environ["{KEY_VARIABLE}"]' if endpoint.api_key is not None else '"none"'
    arguments: list[tuple[str, Any]] = [("base_url", repr(endpoint.v1)), ("api_key", key)]
    imports: list[str] = []
    transport = []
    if endpoint.socket is not None:
        transport.append(f"uds={endpoint.socket!r}")
    if not endpoint.verify:
        transport.append("verify=False")
    elif endpoint.ca_file is not None and endpoint.base_url.startswith("https"):
        imports.append("import ssl")
        transport.append(f"verify=ssl.create_default_context(cafile={endpoint.ca_file!r})")
    if transport:
        # Newer OpenAI clients are built on httpx2, whose transports the older library's do not fit.
        imports += ["try:", "    import httpx2 as httpx", "except ImportError:", "    import httpx"]
        arguments.append(("http_client", f"httpx.Client(transport=httpx.HTTPTransport({', '.join(transport)}))"))
    return ["client = OpenAI(", *(f"    {name}={value}," for name, value in arguments), ")"], imports
