"""Fetches a checkpoint from the model hub into its cache, in a process of its own that can be ended at any moment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gemma_backend.checkpoint.locate import has_weights
from gemma_backend.types import EngineError

LOOK_SECONDS = 0.25
_CODE = "import sys; from huggingface_hub import snapshot_download; print(snapshot_download(sys.argv[1]))"
# The hub's own words for what went wrong, and ours; the first that is found counts.
_CAUSES = (
    ("No space left", "The disk is full: make room, or set HF_HOME to a folder on a larger disk."),
    ("GatedRepo", "The repository asks for an agreement first: accept it on its page, then run `hf auth login`."),
    ("RepositoryNotFound", "There is no such repository, or it is private: check its name."),
    ("401", "The hub refused this computer's token: run `hf auth login`."),
    ("LocalEntryNotFound", "The model hub cannot be reached: check the network and try again."),
    ("Connect", "The model hub cannot be reached: check the network and try again."),
    ("Timeout", "The model hub did not answer in time: try again; what was fetched is kept."),
)


def download(
    repository: str,
    expected_bytes: int,
    *,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Fetch `repository`, going on from what is there already, and return its folder.

    `progress` gets a share from 0 to 1 (of `expected_bytes`) and a line of text. Raises EngineError with a sentence,
    also after `cancelled()`; what was fetched is kept.
    """
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", _CODE, repository],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=os.environ | quiet,
    )
    try:
        while process.poll() is None:
            if cancelled():
                raise EngineError("The download was stopped; what was fetched is kept.")
            have = _fetched(repository)
            share = min(1.0, have / expected_bytes) if expected_bytes else 0.0
            progress(share, f"{repository}: {have / 1e9:.2f} of {expected_bytes / 1e9:.1f} GB")
            time.sleep(LOOK_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
        output, errors = process.communicate()
    if process.returncode != 0:
        raise EngineError(f"{repository} could not be fetched. {_cause(errors)}")
    folder = Path(output.strip().splitlines()[-1])
    if not has_weights(folder):
        raise EngineError(f"{repository} was fetched but holds no whole checkpoint: it is no model for vLLM.")
    return folder


def _fetched(repository: str) -> int:
    from huggingface_hub.constants import HF_HUB_CACHE

    blobs = Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "blobs"
    total = 0
    try:
        for blob in blobs.iterdir():
            # A file that is being renamed at this moment is counted at the next look.
            try:
                total += blob.stat().st_size
            except FileNotFoundError:
                continue
    except FileNotFoundError:
        return 0
    return total


def _cause(errors: str) -> str:
    for word, sentence in _CAUSES:
        if word in errors:
            return sentence
    return "Try again; what was fetched is kept."
