"""Where a server is and what it serves."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that speaks the OpenAI protocol.

    `base_url` has no trailing slash and no `/v1`; with `socket` set, requests go over that Unix
    socket and the URL only fills the Host header. `tunnel` is the ssh address of a server that is
    reached through a tunnel, whose near end `socket` is once it is open. The key is kept out of `repr`.
    """

    base_url: str
    socket: str | None = None
    api_key: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    verify: bool = True
    tunnel: str | None = None

    @property
    def v1(self) -> str:
        """The base URL that an OpenAI client takes."""
        return self.base_url + "/v1"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model that a server offers; `max_model_len` is in tokens, None where it is not told."""

    id: str
    max_model_len: int | None = None
    owner: str | None = None
