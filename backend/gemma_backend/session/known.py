"""What is known of a running engine of ours besides its samples: from its record, profile, log and checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gemma_backend.config.profiles import Profile, load_profile
from gemma_backend.metrics.facts import Facts, facts_of
from gemma_backend.metrics.gpu import gpus
from gemma_backend.types import UsageError

if TYPE_CHECKING:
    from gemma_backend.engine.record import Record
    from gemma_backend.session.session import Session


def facts_of_record(record: Record) -> Facts:
    """Return what can be known of the engine of `record`; it reads files, so call it in a thread."""
    try:
        profile: Profile | None = load_profile(record.profile.removeprefix("tune."))
    except UsageError:
        profile = None
    text = _log_start(record.log)
    cards = gpus()
    return facts_of(
        Path(record.checkpoint),
        record.log,
        cards,
        on_gpu=bool(cards) and "device_config=cpu" not in text,
        table_on_host=profile is not None and profile.per_layer_table == "host",
        devices=int(profile.flags.get("tensor-parallel-size", 1)) if profile is not None else 1,
    )


def facts_of_session(session: Session) -> Facts | None:
    """Return what can be known of a session's engine, None for a server elsewhere."""
    if session.pid is None:
        return None
    from gemma_backend.engine.record import records

    record = next((one for one in records() if one.engine is not None and one.engine[0] == session.pid), None)
    return facts_of_record(record) if record is not None else None


def _log_start(log: Path) -> str:
    try:
        with log.open("rb") as file:
            return file.read(1 << 20).decode("utf-8", "replace")
    except OSError:
        return ""
