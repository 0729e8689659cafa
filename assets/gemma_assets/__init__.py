"""Data that ships: chat templates, profiles, runtime locks, sample media and the pocket checkpoint."""

from pathlib import Path


def path(*parts: str) -> Path:
    """Path of a shipped file or folder, for example `path("profiles", "pocket.toml")`."""
    return Path(__file__).parent.joinpath(*parts)
