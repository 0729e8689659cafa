"""Profiles: which checkpoint on which runtime with which vLLM flags, as data that ships or that a person writes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gemma_assets import path as asset
from gemma_backend.config.formats import PROFILE, bring_up, current, refuse_newer
from gemma_backend.config.nearest import nearest
from gemma_backend.config.paths import config_dir
from gemma_backend.config.settings import config_file, explain, load, model_keys
from gemma_backend.config.toml_text import read_text
from gemma_backend.types.errors import UsageError

POCKET_NAME = "gemma-tui/pocket"
# Read inside the engine, by gemma_in_engine.per_layer_table.
PER_LAYER_TABLE = "GEMMA_IN_ENGINE_PER_LAYER_TABLE"


class ContainerOptions(BaseModel):
    """How an engine's container is run, where the profile's runtime is one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpus: str = "all"
    """GPUs that the container gets, as the tool spells them; empty for none."""
    ipc: str = "private"
    """`private`, or `host` to share the machine's memory segments, which then outlive a container that was killed."""
    shm_size: str = "8g"
    """Size of the container's own /dev/shm."""
    arguments: tuple[str, ...] = ()
    """More arguments of `docker run`, word by word."""


class Profile(BaseModel):
    """What to serve and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = 1
    """Version of this file's format."""
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """Name by which it is chosen."""
    title: str = ""
    """A few words for a list."""
    description: str = ""
    """A sentence on what it is for."""
    checkpoint: str | None = None
    """`bundled:pocket`, a repository id on the model hub, or a folder; None for a remote endpoint."""
    runtime: str = "auto"
    """`cpu`, `cuda`, `auto`, `path:/folder/of/an/environment`, or `container:IMAGE` (docker or podman)."""
    flags: dict[str, str | int | float | bool] = {}
    """vLLM's long options without the dashes; `true` stands for an option without a value."""
    published: dict[str, str | int | float | bool] = {}
    """The model card's own options, which are taken where a machine's memory is not known; `flags` without these."""
    environment: dict[str, str] = {}
    """Variables for the engine's process."""
    gpu: int | None = Field(default=None, ge=0)
    """GPU to run on, by the number that nvidia-smi shows; without it the one with most free memory."""
    per_layer_table: Literal["gpu", "host"] = "gpu"
    """Where the per-layer embedding table is kept: `host` leaves 4.4 GiB of an E2B's GPU memory free."""
    container: ContainerOptions = ContainerOptions()
    """How its container is run."""
    media: Literal["on", "off", "auto"] = "on"
    """Whether the vision and audio tower are loaded; `auto` leaves them out where nothing fits with them."""
    download_bytes: int = 0
    """What has to be fetched for the checkpoint."""
    disk_bytes: int = 0
    """What the checkpoint takes on disk."""
    licence: str = ""
    """Licence of the checkpoint."""
    trust_remote_code: bool = False
    """Whether code from the checkpoint's repository may run; vLLM knows Gemma 4 without it."""
    url: str | None = None
    """Address of an endpoint elsewhere, instead of a checkpoint."""
    api_key_file: str | None = None
    """File that holds the endpoint's key."""
    ca_file: str | None = None
    """Certificates to trust for https, in PEM form."""
    insecure: bool = False
    """Whether the server's certificate is left unchecked."""

    @property
    def served_name(self) -> str:
        """The model's name on the endpoint: the repository id, whatever folder it was loaded from."""
        if self.checkpoint is None:
            return ""
        return POCKET_NAME if self.checkpoint == "bundled:pocket" else self.checkpoint

    @property
    def engine_environment(self) -> dict[str, str]:
        """Variables for the engine's process, with those that stand for other keys."""
        table = {PER_LAYER_TABLE: "host"} if self.per_layer_table == "host" else {}
        return table | self.environment


def list_profiles(*, rewrite: bool = True) -> list[Profile]:
    """Every profile, shipped ones first; one of the person's own replaces a shipped one of the same name.

    With `rewrite` files of an older format are brought to the newest.
    """
    found = {profile.name: profile for profile in map(_from_file, sorted(asset("profiles").glob("*.toml")))}
    own = config_dir() / "profiles"
    if own.is_dir():
        for path in sorted(own.glob("*.toml")):
            profile = _from_file(path)
            found[profile.name] = profile
            # Only a file without a mistake: a sentence about one names the lines that the person wrote.
            if rewrite:
                bring_up(PROFILE, path)
    tables = load(rewrite=rewrite).settings.profiles
    text = config_file().read_text(encoding="utf-8") if tables else ""
    for name, table in tables.items():
        place = f"{config_file()}, [profiles.{name}]"
        found[name] = _made({"name": name} | table, place, text, f"profiles.{name}.")
    return list(found.values())


def load_profile(name: str) -> Profile:
    """Return the profile called `name`; raises UsageError with the nearest name where there is none."""
    profiles = {profile.name: profile for profile in list_profiles()}
    if name in profiles:
        return profiles[name]
    guess = nearest(name, profiles)
    hint = f"did you mean {guess!r}?" if guess else f"there are {', '.join(profiles)}."
    raise UsageError(f"there is no profile {name!r}; {hint}")


def _from_file(path: Path) -> Profile:
    try:
        text = read_text(path)
        _, table = current(PROFILE, path, text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no valid TOML: {error}. Mend the file or move it away.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    return _made({"name": path.stem} | table, str(path), text)


def _made(table: dict[str, Any], place: str, text: str, prefix: str = "") -> Profile:
    refuse_newer(PROFILE, table, place)
    try:
        return Profile.model_validate(table)
    except ValidationError as error:
        raise UsageError(explain(error, {}, list(model_keys(Profile)), place, text, prefix)) from None
