"""One start prepared: the engine's folder, where it will listen, its command line, and the order for its keeper."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemma_assets import path as asset
from gemma_backend.checkpoint import fp4
from gemma_backend.checkpoint.locate import has_chat_template
from gemma_backend.config.formats import KEY, RECORD
from gemma_backend.config.paths import cache_dir, ensure
from gemma_backend.engine import record as records
from gemma_backend.engine.command import EngineCommand, build, caches_of, has_socket
from gemma_backend.engine.container import folders_of, name_of, prepare
from gemma_backend.engine.place import new_folder
from gemma_backend.engine.spawn import Tcp, check_port, free_port, inherited_environment, new_log, write_secret
from gemma_backend.runtime.plugin import plugin_names, write_plugin_folder
from gemma_backend.types import Endpoint

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.runtime.flags import Flags
    from gemma_backend.runtime.found import Runtime

# Wildcard addresses are listened on, not connected to.
_REACHED = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class KeepWarm:
    """What becomes of an engine that stays: seconds without use until it is put to sleep and stopped, 0 for never.

    Sleep needs vLLM's developer mode, whose paths ask for no key: it is used on a socket only, and on CUDA only.
    """

    stop_after: float = 1800.0
    sleep_after: float = 0.0


class Launch:
    """A new engine's id, folder, log and endpoint, made at once; `order()` is what its keeper is told.

    `known` are the options of this very vLLM, where it was asked. Raises EngineError where the port is taken or the
    folder's place is not ours, and UsageError for an option that this vLLM has not.
    """

    def __init__(
        self,
        profile: Profile,
        runtime: Runtime,
        checkpoint: Path,
        address: Tcp | None,
        keep: bool,
        warm: KeepWarm,
        known: Flags | None = None,
    ) -> None:
        self.id = secrets.token_hex(4)
        self._profile, self._runtime, self._checkpoint = profile, runtime, checkpoint
        self._keep, self._warm, self._known = keep, warm, known
        if address is not None:
            check_port(address)
        self.folder = new_folder(self.id)
        try:
            (self.folder / "tmp").mkdir(mode=0o700)
            self.log = new_log(profile.name, self.id)
            self._command = self._listen(address)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def order(self) -> dict[str, Any]:
        """The keeper's order, as `gemma_backend.engine.keeper.Order` has it."""
        return {
            "id": self.id,
            "argv": list(self._command.argv),
            "env": inherited_environment() | self._command.env,
            "folder": str(self.folder),
            "log": str(self.log),
            "record_path": str(records.folder() / f"{self.id}.json"),
            "record": {
                KEY: RECORD.newest,
                "profile": self._profile.name,
                "model": self._profile.served_name,
                "checkpoint": str(self._checkpoint),
                "version": self._runtime.version,
                "runtime": str(self._runtime.path),
                "container": self._container(),
                "base_url": self.endpoint.base_url,
                "socket": self.endpoint.socket,
                "since": time.time(),
            },
            "keep": self._keep,
            "container": self._container(),
            "idle": self._warm.stop_after,
            "sleep": self._warm.sleep_after if self._sleeps else 0.0,
        }

    def _listen(self, address: Tcp | None) -> EngineCommand:
        key: str | None
        where: dict[str, Any]
        if address is None and has_socket(self._runtime.version):
            path = self.folder / "api.sock"
            where, key = {"socket": path}, None
            self.endpoint = Endpoint("http://localhost", str(path))
        else:
            address = address or Tcp(port=free_port(), key=secrets.token_urlsafe(32))
            where, key = {"host": address.host, "port": address.port}, address.key
            host = _REACHED.get(address.host, address.host)
            self.endpoint = Endpoint(f"http://{f'[{host}]' if ':' in host else host}:{address.port}", None, key)
        if key is not None:
            write_secret(self.folder / "key", key)
        self._sleeps = self._warm.sleep_after > 0 and self._runtime.device == "cuda" and "socket" in where
        profile = _with_sleep(self._profile) if self._sleeps else self._profile
        image = self._runtime.image
        plugin = write_plugin_folder()
        template = None if has_chat_template(self._checkpoint) else asset("templates", "transcript.jinja")
        caches = ensure(cache_dir() / "engine" / caches_of(self._runtime))
        command = build(
            profile,
            self._runtime,
            self._checkpoint,
            **where,
            key=key,
            folder=self.folder,
            plugin=plugin,
            plugin_names=plugin_names(),
            chat_template=template,
            caches=caches,
            inherited=os.environ if image is None else dict(image.environment),
            known=self._known,
            weights=fp4.look_at(self._checkpoint),
        )
        if image is None:
            return command
        read = (*folders_of(self._checkpoint), plugin, *([template] if template is not None else []))
        return prepare(command, self._runtime, profile.container, self.id, self.folder, caches, read)

    def _container(self) -> list[str] | None:
        image = self._runtime.image
        return [image.tool, name_of(self.id)] if image is not None else None


def _with_sleep(profile: Profile) -> Profile:
    return profile.model_copy(
        update={
            "flags": {"enable-sleep-mode": True} | profile.flags,
            "environment": {"VLLM_SERVER_DEV_MODE": "1"} | profile.environment,
        }
    )
