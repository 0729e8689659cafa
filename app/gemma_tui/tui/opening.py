"""From what the command line asks for to a session: chosen here, off the event loop, with every doubt made a value."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gemma_backend.types import Endpoint, ModelInfo

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.config.settings import Settings
    from gemma_backend.session.session import Session


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asked for; None was not given."""

    url: str | None = None
    api_key_file: str | None = None
    ca_file: str | None = None
    insecure: bool = False
    model: str | None = None
    profile: str | None = None
    yes: bool = False
    no_history: bool = False
    fetch: str | None = None
    """A profile whose checkpoint is fetched meanwhile."""

    def on(self, url: str) -> Wanted:
        """The same for an endpoint elsewhere."""
        return replace(self, url=url, profile=None)

    def with_profile(self, name: str, *, fetch: str | None = None) -> Wanted:
        """The same for an engine of our own, with another profile's checkpoint `fetch` to be fetched meanwhile."""
        return replace(self, url=None, profile=name, fetch=fetch)

    def with_model(self, model: str) -> Wanted:
        """The same with one of several models chosen."""
        return replace(self, model=model)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, not yet started; `title` and `why` say what it is, `warnings` what should be known about it."""

    session: Session
    title: str
    why: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChooseModel:
    """The endpoint serves several models and none was named."""

    endpoint: Endpoint
    models: tuple[ModelInfo, ...]


@dataclass(frozen=True, slots=True)
class SetUpNeeded:
    """Something has to be installed or fetched first; `profile` is the one that would be started, `why` a sentence."""

    profile: str
    why: str
    lacks: tuple[str, ...] = field(default=())


Opening = Opened | ChooseModel | SetUpNeeded
Opener = Callable[[Wanted], Awaitable[Opening]]


async def open_session(wanted: Wanted) -> Opening:
    """Choose endpoint or profile; raises GemmaError with a sentence where neither can be used."""
    await asyncio.to_thread(_import_backend)
    settings = await asyncio.to_thread(settings_for, wanted)
    if wanted.url is not None:
        return await _on_endpoint(wanted, wanted.url, settings)
    profile, why = await asyncio.to_thread(_profile, settings)
    from gemma_backend.session.fetching import lacking
    from gemma_backend.session.session import Session

    if profile.url is None:
        lacks = await asyncio.to_thread(lacking, profile)
        if lacks:
            return SetUpNeeded(profile.name, why, lacks)
    old = await asyncio.to_thread(_outdated, profile) if profile.url is None else ()
    title = profile.title or profile.name
    return Opened(Session.for_profile(profile, settings), f"{title} · {profile.served_name or profile.url}", why, old)


async def _on_endpoint(wanted: Wanted, url: str, settings: Settings) -> Opening:
    from gemma_backend.endpoint.address import find_key, key_warning, parse_url, place
    from gemma_backend.endpoint.probe import offers
    from gemma_backend.session.session import Session

    key = await asyncio.to_thread(find_key, wanted.api_key_file)
    endpoint = parse_url(url, api_key=key, ca_file=wanted.ca_file, insecure=wanted.insecure)
    warning = key_warning(endpoint)
    if wanted.model is None:
        offer = await offers(endpoint)
        if len(offer.models) > 1:
            return ChooseModel(endpoint, offer.models)
    session = Session.for_endpoint(endpoint, wanted.model, settings)
    return Opened(session, place(endpoint), "An endpoint elsewhere.", (warning,) if warning else ())


def _import_backend() -> None:
    """What is needed from here on takes half a second to import, in which the screen must not stand still."""
    for name in ("config.profiles", "endpoint.probe", "session.session"):
        importlib.import_module(f"gemma_backend.{name}")


def settings_for(wanted: Wanted) -> Settings:
    """The person's settings with what the command line says; blocks, and raises UsageError for a mistake in them."""
    from gemma_backend.config.settings import load

    return load({"profile": wanted.profile, "history.keep": False if wanted.no_history else None}).settings


def _profile(settings: Settings) -> tuple[Profile, str]:
    from gemma_backend.session.choose import chosen_profile

    return chosen_profile(settings.profile, settings)


def _outdated(profile: Profile) -> tuple[str, ...]:
    """What to say of a runtime that can be updated."""
    from gemma_backend.runtime.find import find
    from gemma_backend.runtime.outdated import outdated

    runtime = find(profile.runtime)
    said = outdated(runtime) if runtime is not None else None
    return (said,) if said is not None else ()
