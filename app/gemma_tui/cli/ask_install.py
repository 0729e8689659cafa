"""Installing a missing runtime from the command line: only after a yes, with its progress on one line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gemma_backend.runtime.container import is_image
from gemma_backend.runtime.install import Progress, install, plan
from gemma_backend.session.session import missing_runtime
from gemma_backend.text.clean import clean
from gemma_backend.types import EngineError

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.runtime.locks import Device


def install_after_yes(profile: Profile, *, yes: bool) -> None:
    """Install the runtime of `profile`; raises EngineError with the command to run where nobody said yes."""
    device: Device | None = "cpu" if profile.runtime == "cpu" else "cuda" if profile.runtime == "cuda" else None
    asking = sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
    image = is_image(profile.runtime)
    if not (device or image) or not (yes or asking):
        raise EngineError(missing_runtime(profile))
    if not yes:
        print(f"gemma-tui: {_costs(profile, device)}", file=sys.stderr)
        print(f"{'Fetch' if image else 'Install'} it now? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise EngineError(missing_runtime(profile))
    if device is not None:
        install(device, progress=_show, cancelled=lambda: False)
    else:
        from gemma_backend.runtime.image_pull import fetch

        fetch(profile.runtime, progress=_show)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")


def _costs(profile: Profile, device: Device | None) -> str:
    if device is None:
        return f"the image of {profile.runtime} is not on this computer: several GB to fetch."
    need = plan(device)
    return (
        f"the {device} runtime is not installed: {need.download_bytes / 1e9:.1f} GB to fetch, "
        f"{need.disk_bytes / 1e9:.1f} GB on disk."
    )


def _show(progress: Progress) -> None:
    if sys.stderr.isatty():
        line = clean(progress.text, keep_newlines=False)[:70]
        sys.stderr.write(f"\r\x1b[K{progress.fraction:4.0%} {line}")
        sys.stderr.flush()
