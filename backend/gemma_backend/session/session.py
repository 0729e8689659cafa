"""A conversation with a model: brings up an engine or reaches an endpoint, keeps the turns, streams the replies."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gemma_backend.chat.client import warm_import
from gemma_backend.chat.exchange import Request
from gemma_backend.chat.options import introduce
from gemma_backend.chat.request import PLAIN
from gemma_backend.chat.stream import Patience
from gemma_backend.config.settings import ChatSettings, Settings
from gemma_backend.endpoint.address import find_key, parse_url, place
from gemma_backend.endpoint.probe import Offer, choose_model, offers
from gemma_backend.endpoint.recent import remember
from gemma_backend.session.asking import Asking
from gemma_backend.session.continuing import Continuation
from gemma_backend.session.feed import Feed
from gemma_backend.session.reply import Reply
from gemma_backend.session.restarts import MOST, Restarts
from gemma_backend.session.watchdog import gone
from gemma_backend.types import (
    Endpoint,
    EndpointError,
    EngineError,
    EngineEvent,
    EngineFailed,
    EngineReady,
    EngineState,
    EngineStopped,
    EngineStopping,
    Failed,
    Failure,
    GemmaError,
    Options,
    Part,
    Phase,
    PhaseChanged,
    Sampling,
    StreamEvent,
)

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.engine.engine import Engine
    from gemma_backend.session.far import FarServer

# After a connection to our own engine broke: how long to wait for the engine's own word on why.
_AUTOPSY_SECONDS = 2.0


class Session(Asking):
    """One conversation and the engine or endpoint behind it; everything runs in the loop that `start()` was called in.

    `state` is that of the engine, and for an endpoint "starting" until it was reached, then "ready" or "failed".
    `managed` is true where this session started the engine and will stop it, unless `keep_on_close` is set.
    """

    def __init__(
        self, profile: Profile | None, endpoint: Endpoint | None, model: str | None, settings: Settings
    ) -> None:
        super().__init__()
        self.profile = profile
        self.settings = settings
        self.state: EngineState = "stopped"
        self.endpoint = endpoint
        self.model = model or ""
        self.failure: Failure | None = None
        self.managed = False
        self.keep_on_close = False
        self._restarts = Restarts()
        self.offer: Offer | None = None
        # Whether the engine was started with our transcript template, which has a raw form.
        self._raw_form = False
        self._remote = endpoint
        self._wanted = model
        self.far: FarServer | None = None
        self._engine: Engine | None = None
        self._error: Exception | None = None
        self._feed: Feed[EngineEvent] = Feed()
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._order = asyncio.Lock()
        self._replies: list[Reply] = []
        self._closed = False

    @classmethod
    def for_profile(cls, profile: Profile, settings: Settings, model: str | None = None) -> Self:
        """A session on the engine of `profile`, or on the endpoint that it names, there with `model` where given."""
        if profile.url is None:
            return cls(profile, None, None, settings)
        key = find_key(profile.api_key_file)
        endpoint = parse_url(profile.url, api_key=key, ca_file=profile.ca_file, insecure=profile.insecure)
        return cls(profile, endpoint, model or profile.checkpoint, settings)

    @classmethod
    def for_endpoint(cls, endpoint: Endpoint, model: str | None, settings: Settings) -> Self:
        """A session on a server elsewhere; without `model` the only one that it serves."""
        return cls(None, endpoint, model, settings)

    @property
    def pid(self) -> int | None:
        """The engine's process where it runs on this machine under this session."""
        return self._engine.pid if self._engine is not None else None

    @property
    def log_path(self) -> Path | None:
        """The log of the engine that this session started or joined."""
        return self._engine.log if self._engine is not None else None

    def watch(self) -> AsyncGenerator[EngineEvent]:
        """Every event of the engine from the beginning, until the session is closed."""
        return self._feed.read()

    async def start(self) -> None:
        """Begin to bring up what is needed, in the background; after a failure this tries again.

        Raises EngineError where our engine was started again too often: three times in ten minutes.
        """
        if self._task is not None and self.state != "failed":
            return
        delay = 0.0
        if self._engine is not None:
            allowed = self._restarts.ask(time.monotonic())
            if allowed is None:
                minutes = math.ceil(self._restarts.wait(time.monotonic()) / 60)
                raise EngineError(
                    f"The engine failed again after {MOST} restarts in ten minutes: see to the cause, which its log "
                    f"(F4) shows; in {minutes} min it can be started again."
                )
            delay = allowed
        self._settled.clear()
        self.state, self.failure, self._error = "starting", None, None
        self._task = asyncio.create_task(self._bring_up(delay))

    async def wait_ready(self) -> None:
        """Return once prompts are answered, after `start()`; raises the GemmaError that says why they are not."""
        await self._settled.wait()
        if self._error is not None:
            raise self._error

    def complete(
        self,
        prompt: str,
        sampling: Sampling | None = None,
        media: Sequence[Part] = (),
        options: Options = PLAIN,
    ) -> AsyncGenerator[StreamEvent]:
        """Continue `prompt` byte for byte; `media` stand where its placeholders are, or in front. `turns` stay."""
        continuation = Continuation(prompt, self._sampling(sampling), options, tuple(media))
        return self.proceed(continuation)

    def proceed(self, continuation: Continuation) -> AsyncGenerator[StreamEvent]:
        """Continue or score a raw text as it is given, without a default from the settings; `turns` stay."""
        return self._start_reply(self._proceed(continuation))

    def as_sent(self, continuation: Continuation) -> Request | Failed:
        """The request that `proceed` would send now; Failed while nothing is ready, or where it cannot be sent."""
        if self.endpoint is None or self.state != "ready":
            return Failed("Wait until the engine is ready: what is sent depends on it.", 3)
        return continuation.as_sent(self.endpoint, self.model, managed=self._raw_form)

    async def cancel(self) -> None:
        """End the reply in flight; those waiting behind it go on."""
        if self._replies:
            await self._replies[0].cancel()

    async def close(self) -> None:
        """End all replies, stop the engine if this session started it, and end every `watch()`."""
        if self._closed:
            return
        self._closed = True
        for reply in list(self._replies):
            await reply.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self.far is not None:
            await self.far.close()
        if self._engine is not None:
            self._publish(EngineStopping())
            await self._engine.stop(keep=True if self.keep_on_close else None)
        if self.state != "failed":
            self._publish(EngineStopped())
        if self._error is None:
            self._error = EngineError("The session was closed.")
        self._settled.set()
        self._feed.close()

    async def _bring_up(self, delay: float) -> None:
        try:
            if delay:
                self._publish(PhaseChanged(Phase("waiting", 0.0, None, f"{delay:.0f} s before the next try")))
                await asyncio.sleep(delay)
            if self._remote is not None:
                await self._reach(self._remote)
            else:
                await self._run_engine()
        except GemmaError as error:
            failure = getattr(error, "failure", None) or Failure(str(error), "")
            self._error = error
            if self.failure is None:
                self._publish(EngineFailed(failure))
        except Exception as error:
            # A bug of ours: whoever waits gets it as it is, everyone else sees that nothing more will come.
            self._error = error
            self._publish(EngineFailed(Failure(f"This is a bug of ours ({type(error).__name__}).", "Try again.")))
        finally:
            self._settled.set()

    async def _reach(self, endpoint: Endpoint) -> None:
        if endpoint.tunnel is not None:
            from gemma_backend.session.far import FarServer

            if self.far is not None:
                await self.far.close()
            self.far = FarServer(endpoint)
            endpoint = await self.far.open()
        offer = await offers(endpoint)
        model = choose_model(offer, self._wanted, endpoint)
        self.offer, self.endpoint, self.model = offer, offer.endpoint or endpoint, model.id
        introduce(self.endpoint, self.model, model.owner)
        await asyncio.to_thread(remember, self.endpoint, self.model)
        self._publish(EngineReady(self.endpoint, self.model))
        self._settled.set()
        await warm_import()
        await gone(self.endpoint)
        raise EndpointError(f"{place(self.endpoint)} does not answer any more: look whether the server runs.")

    async def _run_engine(self) -> None:
        from gemma_backend.checkpoint.locate import has_chat_template, locate
        from gemma_backend.engine.engine import Engine
        from gemma_backend.runtime.find import find
        from gemma_backend.session.planning import planner
        from gemma_backend.session.remarks import remarks
        from gemma_backend.session.warm import keep_warm

        profile = self.profile
        assert profile is not None
        runtime = await asyncio.to_thread(find, profile.runtime)
        if runtime is None:
            raise EngineError(missing_runtime(profile))
        checkpoint = await asyncio.to_thread(locate, profile.checkpoint or "")
        if self._engine is not None:
            await self._engine.stop()
        warm = await asyncio.to_thread(keep_warm, self.settings.engine, stays=self.settings.engine.on_quit == "keep")
        engine = self._engine = Engine(
            profile,
            runtime,
            checkpoint,
            warm=warm,
            fitted=planner(runtime, checkpoint),
            remarks=remarks(runtime, checkpoint),
        )
        self._raw_form = not await asyncio.to_thread(has_chat_template, checkpoint)
        await engine.start()
        self.managed = not engine.reused
        # There is time for it while the engine loads, and none to spare when the first prompt comes.
        await warm_import()
        async for event in engine.events():
            self._publish(event)
            if isinstance(event, EngineFailed):
                raise EngineError(event.failure.sentence(), event.failure)
            if isinstance(event, EngineReady):
                self._settled.set()
                await self._look_at(event.endpoint)
            if isinstance(event, EngineStopped):
                raise EngineError("The engine was stopped from elsewhere: start it again.")

    async def _look_at(self, endpoint: Endpoint) -> None:
        """Learn what our engine offers; it serves prompts whether this succeeds or not."""
        try:
            self.offer = await offers(endpoint)
        except EndpointError:
            self.offer = None

    def _publish(self, event: EngineEvent) -> None:
        match event:
            case PhaseChanged():
                self.state = "starting" if self.state == "stopped" else self.state
            case EngineReady(endpoint=endpoint, model=model):
                self.state, self.endpoint, self.model = "ready", endpoint, model
            case EngineStopping():
                self.state = "stopping"
            case EngineStopped():
                self.state = "stopped"
            case EngineFailed(failure=failure):
                self.state, self.failure = "failed", failure
        self._feed.publish(event)

    def _start_reply(self, stream: AsyncGenerator[StreamEvent]) -> AsyncGenerator[StreamEvent]:
        reply = Reply(stream, self._replies.remove)
        self._replies.append(reply)
        return reply.events()

    async def _proceed(self, continuation: Continuation) -> AsyncGenerator[StreamEvent]:
        async with self._order:
            if (failed := await self._readiness()) is not None:
                yield failed
                return
            assert self.endpoint is not None
            events = continuation.stream(self.endpoint, self.model, managed=self._raw_form, patience=self._patience())
            async with aclosing(events):
                async for event in events:
                    yield await self._explained(event)

    async def _readiness(self) -> Failed | None:
        try:
            await self.wait_ready()
        except GemmaError as error:
            return Failed(str(error), error.exit_code)
        return None

    async def _explained(self, event: StreamEvent) -> StreamEvent:
        """`event`, or for a connection that broke because our engine died, the engine's own reason."""
        if not (
            isinstance(event, Failed) and event.exit_code == 4 and self._engine is not None and self._task is not None
        ):
            return event
        await asyncio.wait([self._task], timeout=_AUTOPSY_SECONDS)
        return Failed(self.failure.sentence(), EngineError.exit_code) if self.failure is not None else event

    def _sampling(self, sampling: Sampling | None) -> Sampling:
        return with_defaults(sampling or Sampling(), self.settings.chat)

    def _patience(self) -> Patience:
        return Patience(stall=self.settings.chat.stall_timeout)


def missing_runtime(profile: Profile) -> str:
    """The sentence for a profile whose runtime is not there, with the command that installs it."""
    if profile.runtime in ("cpu", "cuda"):
        return (
            f"The {profile.runtime} runtime that profile {profile.name} runs on is not installed: "
            f"run `gemma-tui engine install --runtime {profile.runtime}`."
        )
    if profile.runtime == "auto":
        return "No vLLM runtime is installed: run `gemma-tui engine install --runtime cpu`, or cuda with an NVIDIA GPU."
    if not profile.runtime.startswith("path:"):
        return (
            f"The image that profile {profile.name} runs in is not on this computer: "
            f"run `gemma-tui engine install --runtime {profile.runtime}`."
        )
    return f"Profile {profile.name} runs on {profile.runtime}, where no vLLM was found: check the path."


def with_defaults(sampling: Sampling, chat: ChatSettings) -> Sampling:
    """`sampling` with what it leaves open taken from the settings."""
    given = {field.name: getattr(sampling, field.name) for field in dataclasses.fields(sampling)}
    for name in ("max_tokens", "temperature", "top_p", "seed"):
        if given[name] is None:
            given[name] = getattr(chat, name)
    return Sampling(**given)
