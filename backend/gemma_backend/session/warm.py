"""What the settings say about an engine that nobody uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gemma_backend.engine.launch import KeepWarm
from gemma_backend.metrics.gpu import gpus

if TYPE_CHECKING:
    from gemma_backend.config.settings import EngineSettings


def keep_warm(settings: EngineSettings, *, stays: bool, idle_minutes: float | None = None) -> KeepWarm:
    """When an engine that stays is put to sleep and stopped; `idle_minutes` replaces the setting.

    Sleep has to be switched on at the start, so only one that is known to stay then can sleep. Where GPU and host share
    their memory it would give nothing back.
    """
    minutes = settings.idle_minutes if idle_minutes is None else idle_minutes
    cards = gpus() if stays and settings.sleep_minutes else ()
    sleeps = bool(cards) and not any(card.unified for card in cards)
    return KeepWarm(minutes * 60, settings.sleep_minutes * 60 if sleeps else 0.0)
