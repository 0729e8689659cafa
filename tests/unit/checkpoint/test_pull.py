"""Downloads go over real sockets to a local hub: what is fetched, resumed, refused and checked."""

import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from gemma_backend.checkpoint import pull as module
from gemma_backend.checkpoint.hub import Unreachable
from gemma_backend.checkpoint.locate import locate
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


def test_what_was_pulled_is_found_offline_and_nothing_before_it_is_whole(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stopped):
        fetch(server, stop_after=2_000_000)
    with pytest.raises(EngineError, match="gemma-tui model pull owner/model"):
        locate("owner/model")
    first = fetch(server)
    assert locate("owner/model") == first
    # A newer one takes its place once it is whole, and not before.
    server.files["model.safetensors"], server.commit = bytes(reversed(WEIGHTS)), "f" * 40
    with pytest.raises(Stopped):
        fetch(server, stop_after=2_000_000)
    assert locate("owner/model") == first
    assert locate("owner/model") != fetch(server)
    assert locate("owner/model").name == "f" * 40
    assert fetch(server, revision="v9") == locate("owner/model@v9")
    with pytest.raises(EngineError):
        locate("owner/model@v10")


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


@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_token_goes_along_with_every_request(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    if place == "environment":
        monkeypatch.setenv("HF_TOKEN", "hf_made_up")
    else:
        (tmp_path / "token").write_text("hf_made_up")
    fetch(server)
    asked = [token for (path, _), token in zip(server.requests, server.tokens, strict=True) if "owner/model" in path]
    assert asked
    assert set(asked) == {"Bearer hf_made_up"}


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


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (401, UsageError, "HF_TOKEN"),
        (403, UsageError, "HF_TOKEN"),
        (404, GemmaError, "HTTP 404|lacks its config"),
        (429, Unreachable, "asked too often"),
        (500, Unreachable, "HTTP 500"),
        (503, Unreachable, "HTTP 503"),
    ],
)
def test_refused_files_are_sentences_and_what_was_there_is_kept(
    server: Hub, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[GemmaError], words: str
) -> None:
    # The library waits a second and more between its tries, which is no part of this.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with pytest.raises(Stopped):
        fetch(server, stop_after=2_000_000)
    server.refuse_files = code
    with pytest.raises(kind, match=words) as caught:
        fetch(server)
    assert "\n" not in str(caught.value)
    server.refuse_files = None
    before = len(server.requests)
    assert (fetch(server) / "model.safetensors").read_bytes() == WEIGHTS
    assert first_byte(server, before) >= 2_000_000


def first_byte(server: Hub, since: int = 0) -> int:
    """Where the first request for the weights since then began."""
    _, asked = next(one for one in server.requests[since:] if one[0].startswith("GET") and "model.safe" in one[0])
    return int((asked or "bytes=0-").removeprefix("bytes=").partition("-")[0])


def test_a_server_that_passes_over_ranges_is_read_from_the_beginning(server: Hub) -> None:
    with pytest.raises(Stopped):
        fetch(server, stop_after=2_000_000)
    server.ignore_ranges = True
    seen: list[Fetched] = []
    assert (fetch(server, seen) / "model.safetensors").read_bytes() == WEIGHTS
    assert max(step.done for step in seen) == seen[-1].total


def test_a_file_that_changed_at_the_hub_is_fetched_anew_and_the_old_one_stays(server: Hub) -> None:
    old = fetch(server)
    other = bytes(reversed(WEIGHTS))
    server.files["model.safetensors"], server.commit = other, "f" * 40
    with pytest.raises(Stopped):
        fetch(server, stop_after=2_000_000)
    assert (old / "model.safetensors").read_bytes() == WEIGHTS
    new = fetch(server)
    assert (new / "model.safetensors").read_bytes() == other
    assert (old / "model.safetensors").read_bytes() == WEIGHTS


def test_what_is_longer_than_the_file_is_begun_anew(server: Hub, tmp_path: Path) -> None:
    blobs = tmp_path / "cache" / "models--owner--model" / "blobs"
    blobs.mkdir(parents=True)
    name = f"{hashlib.sha256(WEIGHTS).hexdigest()}{module.PARTIAL}"
    (blobs / name).write_bytes(WEIGHTS + b"more")
    assert (fetch(server) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_link_in_the_place_of_a_part_is_not_written_through(server: Hub, tmp_path: Path) -> None:
    blobs = tmp_path / "cache" / "models--owner--model" / "blobs"
    blobs.mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    (blobs / f"{hashlib.sha256(WEIGHTS).hexdigest()}{module.PARTIAL}").symlink_to(precious)
    assert (fetch(server) / "model.safetensors").read_bytes() == WEIGHTS
    assert precious.read_bytes() == b"mine"


def test_a_link_that_leads_nowhere_in_the_cache_is_mended(server: Hub) -> None:
    folder = fetch(server)
    (folder / "model.safetensors").resolve().unlink()
    assert (fetch(server) / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    "description",
    [
        b"<html>Sign in",
        b"[]",
        b"null",
        b"{}",
        b'{"id": "owner/model", "sha": "x", "siblings": [{}]}',
        b'{"siblings": 3}',
    ],
)
def test_an_answer_that_is_no_hubs_is_a_sentence(server: Hub, description: bytes) -> None:
    server.description = description
    with pytest.raises(GemmaError, match=r"does not answer like a model hub|no safetensors weights") as caught:
        fetch(server)
    assert "\n" not in str(caught.value)


def test_names_that_lead_out_of_the_folder_are_passed_over(server: Hub, tmp_path: Path) -> None:
    server.files |= {"../../../out.json": b"{}", "/out.json": b"{}"}
    fetch(server)
    assert not list(tmp_path.rglob("out.json"))


def test_a_disk_that_is_full_is_a_sentence_and_nothing_is_lost(server: Hub) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, limits[1]))
    try:
        with pytest.raises(EngineError, match="could not be stored: File too large"):
            fetch(server)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    before = len(server.requests)
    assert (fetch(server) / "model.safetensors").read_bytes() == WEIGHTS
    assert first_byte(server, before) >= 2_000_000


SCRIPT = """
import sys
from gemma_backend.checkpoint.pull import pull
print(pull("owner/model", progress=lambda step: print(step.done, flush=True), cancelled=lambda: False))
"""


def program(server: Hub, cache: Path) -> subprocess.Popen[str]:
    """A pull in a process of its own, which prints the bytes that it has."""
    environment = os.environ | {"HF_ENDPOINT": server.url, "HF_HUB_CACHE": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def read_until(running: subprocess.Popen[str], count: int) -> None:
    """Return once a pull has `count` bytes."""
    assert running.stdout is not None
    for line in running.stdout:
        if int(line) >= count:
            return
    raise AssertionError(running.stderr.read() if running.stderr else "")


def test_a_pull_that_was_killed_goes_on(server: Hub, tmp_path: Path) -> None:
    server.rate = 8_000_000
    with program(server, tmp_path / "cache") as running:
        read_until(running, 4_000_000)
        running.kill()
    server.rate, before = None, len(server.requests)
    assert (fetch(server) / "model.safetensors").read_bytes() == WEIGHTS
    assert first_byte(server, before) >= 3_000_000


def test_two_pulls_at_once_fetch_each_byte_once(server: Hub, tmp_path: Path) -> None:
    server.rate = 8_000_000
    with program(server, tmp_path / "cache") as one, program(server, tmp_path / "cache") as other:
        ends = [running.communicate() for running in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], ends
    folders = {out.splitlines()[-1] for out, _ in ends}
    assert len(folders) == 1
    assert (Path(folders.pop()) / "model.safetensors").read_bytes() == WEIGHTS
    assert sum(path.startswith("GET") and "model.safe" in path for path, _ in server.requests) == 1


def test_a_pull_that_waits_for_another_shows_its_bytes_and_can_be_stopped(server: Hub, tmp_path: Path) -> None:
    server.rate = 2_000_000
    with program(server, tmp_path / "cache") as running:
        read_until(running, 2_000_000)
        seen: list[Fetched] = []
        with pytest.raises(Stopped):
            fetch(server, seen, stop_after=3_000_000)
        assert any(2_000_000 <= step.file_done < len(WEIGHTS) for step in seen)
        running.kill()


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
