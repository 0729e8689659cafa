"""Downloads go over real sockets to a local hub: what is fetched, resumed, refused and checked."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from gemma_backend.checkpoint import pull as module
from gemma_backend.checkpoint.pull import Fetched, Stopped, pull
from gemma_backend.types import EngineError, GemmaError, UsageError
from stubs.hub_server import COMMIT, Hub, hub

WEIGHTS = bytes(range(256)) * 40_000
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"[1]",
    "model.safetensors": WEIGHTS,
    "README.md": b"words",
    "pytorch_model.bin": b"old weights",
    "original/model.safetensors": b"another copy",
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with hub(dict(FILES)) as running:
        yield running


def fetch(
    server: Hub, seen: list[Fetched] | None = None, stop_after: int | None = None, revision: str | None = None
) -> Path:
    seen = [] if seen is None else seen
    return pull(
        "owner/model",
        revision,
        progress=seen.append,
        cancelled=lambda: stop_after is not None and bool(seen) and seen[-1].file_done >= stop_after,
        endpoint=server.url,
    )


def test_only_what_vllm_needs_is_fetched_and_counted(server: Hub) -> None:
    seen: list[Fetched] = []
    folder = fetch(server, seen)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert [step.done for step in seen] == sorted(step.done for step in seen)
    assert seen[-1].done == seen[-1].total == len(WEIGHTS) + 5
    before = len(server.requests)
    assert fetch(server) == folder
    assert not any("/resolve/" in path for path, _ in server.requests[before:])


def test_a_stopped_download_goes_on_where_it_ended(server: Hub) -> None:
    with pytest.raises(Stopped):
        fetch(server, stop_after=4)
    assert (fetch(server) / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [asked for path, asked in server.requests if path.startswith("GET") and asked]
    assert ranges, "the second download should ask for the rest only"


def test_a_connection_that_is_cut_is_taken_up_where_it_ended(server: Hub) -> None:
    server.cut_after = 4_000_000
    assert (fetch(server) / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [asked for path, asked in server.requests if path.startswith("GET") and asked]
    starts = [int(asked.removeprefix("bytes=").partition("-")[0]) for asked in ranges]
    assert [start for start in starts if start] == sorted({start for start in starts if start})
    assert max(starts) >= 4_000_000


def test_offline_by_choice_is_told_as_such(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.shutdown()
    server.server_close()
    with pytest.raises(EngineError, match="HF_HUB_OFFLINE is set"):
        fetch(server)


def test_damage_is_found_and_removed(server: Hub) -> None:
    server.damaged = "model.safetensors"
    with pytest.raises(EngineError, match="arrived damaged"):
        fetch(server)
    server.damaged = None
    assert (fetch(server) / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        ((403, "GatedRepo"), UsageError, "accept its terms at"),
        ((401, "RepoNotFound"), UsageError, "no repository owner/model"),
        ((404, "RepoNotFound"), UsageError, "no repository owner/model"),
        ((404, "RevisionNotFound"), UsageError, "no revision 'v9'"),
        ((401, ""), UsageError, "HF_TOKEN"),
        ((500, ""), EngineError, "HTTP 500"),
    ],
)
def test_refusals_are_sentences(server: Hub, refusal: tuple[int, str], kind: type[GemmaError], words: str) -> None:
    server.refuse = refusal
    with pytest.raises(kind, match=words) as caught:
        fetch(server, revision="v9")
    assert "\n" not in str(caught.value)


def test_no_server_is_a_sentence(server: Hub) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(EngineError, match="could not be reached"):
        fetch(server)


def test_no_room_is_said_before_anything_is_fetched(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPARE_BYTES", 10**18)
    with pytest.raises(EngineError, match="make room, or set HF_HOME"):
        fetch(server)
    assert not any("/resolve/" in path for path, _ in server.requests)


def test_a_repository_without_weights_is_refused(server: Hub) -> None:
    del server.files["model.safetensors"]
    with pytest.raises(UsageError, match="no safetensors"):
        fetch(server)
    assert not any(COMMIT in path for path, _ in server.requests)
