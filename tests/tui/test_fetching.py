"""Downloads beside a conversation: begun, shown, stopped, gone on with after a kill, and switched to at their end."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants

from gemma_backend.config.profiles import load_profile
from gemma_backend.config.settings import load
from gemma_backend.endpoint.address import parse_url
from gemma_backend.session.fetching import Fetching, unfinished
from gemma_backend.session.session import Session
from gemma_backend.session.setup import Need, Survey
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.opening import Opened, Opening, SetUpNeeded, Wanted, open_session
from gemma_tui.tui.screens.profiles import ProfilesScreen
from gemma_tui.tui.screens.setup import SetUpScreen
from stubs.hub_server import Hub, hub
from stubs.openai_server import OpenAIServer
from tui.pilots import idle, ready, said, screen_text, until

WEIGHTS = bytes(range(256)) * 40_000
LARGE = """
[profiles.large]
title = "The large one"
checkpoint = "owner/model"
runtime = "cpu"
download_bytes = 10_240_002
"""


@pytest.fixture
def far_hub(own_folders: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that serves the checkpoint of the profile `large`."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text(LARGE)
    with hub({"config.json": b"{}", "model.safetensors": WEIGHTS}) as running:
        # What HF_ENDPOINT would set before the library is imported.
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, running.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        yield running


def talking_to(server: OpenAIServer, other: OpenAIServer | None = None, fetch: str | None = None) -> GemmaApp:
    """The app on a server that stands for the pocket profile's engine, `other` for that of the profile `large`."""

    async def opener(wanted: Wanted) -> Opening:
        if wanted.url is not None:
            return await open_session(wanted)
        profile = load_profile(wanted.profile or "pocket")
        here = other if profile.name == "large" and other is not None else server
        session = Session.for_endpoint(parse_url(here.url), None, load().settings)
        session.profile = profile
        return Opened(session, profile.title, "")

    return GemmaApp(Wanted(profile="pocket", fetch=fetch), opener=opener, poll=False)


async def command(app: GemmaApp, pilot: object, text: str) -> None:
    """Type a command and run it."""
    app.main.composer.load_text(text)
    await pilot.press("escape", "enter")  # type: ignore[attr-defined]


async def test_progress_stands_in_the_status_line_while_one_talks(server: OpenAIServer, far_hub: Hub) -> None:
    far_hub.rate = 2_000_000
    app = talking_to(server, fetch="large")
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "↓" in app.main.status.words() and "of 10.2 MB" in app.main.status.words())
        await pilot.press(*"hi", "enter")
        await until(pilot, lambda: len(said(app)) == 2)
        assert app.fetching is not None
        assert app.fetching.state.stage == "running"
        far_hub.rate = None
        await until(pilot, lambda: "The large one is here." in app.main.notice.message)
        await until(pilot, lambda: "Alt+P" in screen_text(app))
        assert unfinished() is None


async def test_the_switch_keeps_the_conversation(server: OpenAIServer, far_hub: Hub) -> None:
    async with OpenAIServer() as other:
        other.models = ["owner/model"]
        app = talking_to(server, other, fetch="large")
        async with app.run_test(size=(100, 30)) as pilot:
            await ready(pilot)
            await pilot.press(*"first", "enter")
            await idle(pilot)
            await until(pilot, lambda: app.fetched == "large")
            before = app.session
            await pilot.press("alt+p")
            await until(pilot, lambda: app.session is not None and app.session is not before)
            await ready(pilot)
            assert app.session is not None
            assert app.session.model == "owner/model"
            assert app.fetched is None
            assert "↓" not in app.main.status.words()
            await pilot.press(*"second", "enter")
            await idle(pilot)
            assert [text for role, text in said(app) if role == "user"] == ["first", "second"]
            asked = next(one for one in reversed(other.requests) if one.path.endswith("chat/completions"))
            assert [turn["role"] for turn in asked.json["messages"]] == ["user", "assistant", "user"]


async def test_a_message_that_waits_goes_to_the_engine_that_was_switched_to(far_hub: Hub) -> None:
    async with OpenAIServer() as other, OpenAIServer() as away:
        app = talking_to(away, other)
        await away.__aexit__(None, None, None)
        async with app.run_test(size=(100, 30)) as pilot:
            await until(pilot, lambda: app.state == "failed")
            await pilot.press(*"kept", "enter")
            await command(app, pilot, "/switch large")
            await until(pilot, lambda: other.finished == 1)
            await idle(pilot)
            assert said(app)[0] == ("user", "kept")


async def test_stopped_it_is_kept_and_goes_on_when_asked(server: OpenAIServer, far_hub: Hub) -> None:
    far_hub.rate = 2_000_000
    app = talking_to(server, fetch="large")
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: app.fetching and app.fetching.state.done > 2_000_000)
        await command(app, pilot, "/fetch stop")
        await until(pilot, lambda: "/fetch large goes on" in app.main.notice.message)
        assert "↓" not in app.main.status.words()
        assert unfinished() is None
        far_hub.rate, before = None, len(far_hub.requests)
        await command(app, pilot, "/fetch large")
        await until(pilot, lambda: app.fetched == "large")
    ranges = [asked for path, asked in far_hub.requests[before:] if path.startswith("GET") and "model.safe" in path]
    assert all(asked is not None and asked != "bytes=0-" for asked in ranges)


async def test_left_or_killed_the_next_run_goes_on_without_being_asked(server: OpenAIServer, far_hub: Hub) -> None:
    far_hub.rate = 2_000_000
    app = talking_to(server, fetch="large")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.fetching and app.fetching.state.done > 2_000_000)
        fetching = app.fetching
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app._exit)
    assert fetching is not None
    fetching.join()
    begun = unfinished()
    assert begun is not None
    assert begun.name == "large"
    far_hub.rate = None
    again = talking_to(server)
    async with again.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: again.fetched == "large")


async def test_a_cut_connection_is_tried_again_by_itself(far_hub: Hub) -> None:
    far_hub.refuse_files = 503
    fetching = Fetching(load_profile("large"), pauses=(0.05,))
    fetching.start()
    while fetching.state.stage != "waiting":
        fetching.join(0.01)
    assert "HTTP 503" in fetching.state.sentence
    far_hub.refuse_files = None
    fetching.join()
    assert fetching.state.stage == "done"


async def test_a_refusal_is_a_sentence_and_is_not_tried_again(server: OpenAIServer, far_hub: Hub) -> None:
    far_hub.refuse = (403, "GatedRepo")
    app = talking_to(server, fetch="large")
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "accept its terms" in app.main.notice.message)
        await until(pilot, lambda: "/fetch large tries again" in screen_text(app))
        assert unfinished() is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/fetch", "Nothing is being fetched"),
        ("/fetch stop", "Nothing is being fetched"),
        ("/fetch larg", "did you mean 'large'"),
        ("/fetch pocket", "is here already"),
        ("/switch pocket", "is what is talked to now"),
    ],
)
async def test_what_cannot_be_is_said(server: OpenAIServer, far_hub: Hub, text: str, words: str) -> None:
    app = talking_to(server)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await command(app, pilot, text)
        await until(pilot, lambda: words in app.main.notice.message)


async def test_profiles_are_shown_with_what_they_lack(server: OpenAIServer, far_hub: Hub) -> None:
    app = talking_to(server)
    async with app.run_test(size=(100, 40)) as pilot:
        await ready(pilot)
        await pilot.press("alt+p")
        await until(pilot, lambda: isinstance(app.screen, ProfilesScreen) and "in use" in screen_text(app))
        await pilot.press("end")
        await until(pilot, lambda: "10.2 MB to fetch" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.main)


PROFILES = ("large", "pocket")


def found(**changes: object) -> Survey:
    """A machine on which `large` lacks its checkpoint and nothing else is lacking."""
    survey = Survey(
        disk_free=10**12, profiles=tuple(map(load_profile, PROFILES)), lacking=frozenset({"large"}), wanted="large"
    )
    return replace(survey, **changes)  # type: ignore[arg-type]


async def test_the_set_up_starts_the_pocket_checkpoint_at_once(server: OpenAIServer, far_hub: Hub) -> None:
    app = talking_to(server)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        chosen: list[Wanted | None] = []
        needed = SetUpNeeded("large", "", ("checkpoint",))
        await app.push_screen(SetUpScreen(needed, Wanted(profile="large"), found), chosen.append)
        await until(pilot, lambda: "Attach to a URL" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: chosen)
    assert chosen == [Wanted(profile="pocket", fetch="large")]
    assert not far_hub.requests


async def test_without_the_cpu_runtime_the_set_up_offers_the_pocket_checkpoint(
    server: OpenAIServer, far_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    far_hub.rate = 1_000_000
    installed: list[str] = []
    monkeypatch.setattr("gemma_backend.runtime.install.install", lambda device, **_: installed.append(device))
    large = load_profile("large").model_copy(update={"runtime": "auto"})
    survey = found(profiles=(large, load_profile("pocket")), needs={"cpu": Need(download_bytes=616_000_000)})
    app = talking_to(server)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        chosen: list[Wanted | None] = []
        needed = SetUpNeeded("large", "", ("checkpoint",))
        await app.push_screen(SetUpScreen(needed, Wanted(profile="large"), lambda: survey), chosen.append)
        await until(pilot, lambda: "Attach to a URL" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "P: talk to the pocket checkpoint meanwhile (616.0 MB" in screen_text(app))
        assert installed == []
        await pilot.press("p")
        await until(pilot, lambda: chosen)
    assert chosen == [Wanted(profile="pocket", fetch="large")]
    assert installed == ["cpu"]


async def test_esc_on_the_set_up_screen_keeps_what_came_and_another_enter_goes_on(
    server: OpenAIServer, far_hub: Hub
) -> None:
    far_hub.rate = 2_000_000
    survey = found(
        profiles=(load_profile("large").model_copy(update={"runtime": "auto"}), load_profile("pocket")),
        needs={"cpu": Need(download_bytes=616_000_000)},
    )
    app = talking_to(server)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        chosen: list[Wanted | None] = []
        needed = SetUpNeeded("large", "", ("checkpoint",))
        await app.push_screen(SetUpScreen(needed, Wanted(profile="large"), lambda: survey), chosen.append)
        await until(pilot, lambda: "Attach to a URL" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: any(f"{number}.{tenth} MB of" in screen_text(app) for number in (3, 4, 5, 6)
                                       for tenth in range(10)))  # fmt: skip
        await pilot.press("escape")
        await until(pilot, lambda: "Choose again to go on" in screen_text(app))
        assert unfinished() is None
        far_hub.rate, before = None, len(far_hub.requests)
        await pilot.press("enter")
        await until(pilot, lambda: chosen)
    assert chosen == [Wanted(profile="large")]
    asked = [rest for path, rest in far_hub.requests[before:] if path.startswith("GET") and "model.safe" in path]
    assert asked and all(rest is not None and rest != "bytes=0-" for rest in asked)
