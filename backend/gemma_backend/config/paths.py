"""Where the program keeps things: one folder each for data, state, cache, configuration and logs."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from gemma_backend.types.errors import EngineError

APP = "gemma-tui"


class FolderError(EngineError, OSError):
    """A folder of ours cannot be made; also an OSError, for those who can do without the folder."""


def _folder(kind: str, default: str) -> Path:
    return Path(os.environ.get(f"GEMMA_TUI_{kind}_DIR") or default).expanduser()


def data_dir() -> Path:
    """Runtimes and what else is large and made by the program (`GEMMA_TUI_DATA_DIR`)."""
    return _folder("DATA", platformdirs.user_data_dir(APP, appauthor=False))


def state_dir() -> Path:
    """Records of running engines, plugin folders and recent endpoints (`GEMMA_TUI_STATE_DIR`)."""
    return _folder("STATE", platformdirs.user_state_dir(APP, appauthor=False))


def cache_dir() -> Path:
    """What can be made again at a cost: compile caches, parsed flags (`GEMMA_TUI_CACHE_DIR`)."""
    return _folder("CACHE", platformdirs.user_cache_dir(APP, appauthor=False))


def config_dir() -> Path:
    """`config.toml` and the person's profiles (`GEMMA_TUI_CONFIG_DIR`)."""
    return _folder("CONFIG", platformdirs.user_config_dir(APP, appauthor=False))


def log_dir() -> Path:
    """Engine logs and reports of our own bugs (`GEMMA_TUI_LOG_DIR`)."""
    return _folder("LOG", platformdirs.user_log_dir(APP, appauthor=False))


def ensure(folder: Path) -> Path:
    """Create `folder`, closed to other users, if it is not there, and return it; FolderError where it cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(
            f"The folder {folder} cannot be made ({error.strerror}): see to its permissions, or name others with "
            "GEMMA_TUI_DATA_DIR, GEMMA_TUI_STATE_DIR, GEMMA_TUI_CACHE_DIR and GEMMA_TUI_LOG_DIR."
        ) from None
    return folder
