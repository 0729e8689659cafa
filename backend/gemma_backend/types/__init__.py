"""Frozen plain data that crosses package borders; no input or output happens here."""

from gemma_backend.types.endpoint import Endpoint, ModelInfo
from gemma_backend.types.engine import (
    EngineEvent,
    EngineFailed,
    EngineReady,
    EngineState,
    EngineStopped,
    EngineStopping,
    Failure,
    LogLine,
    Phase,
    PhaseChanged,
)
from gemma_backend.types.errors import BadInput, EndpointError, EngineError, GemmaError, UsageError
from gemma_backend.types.sample import GpuMemory, HostMemory, Quantiles, Sample
from gemma_backend.types.stream import Delta, Failed, Finished, Sampling, Started, StreamEvent, Usage
from gemma_backend.types.turn import AudioPart, ImagePart, Part, Role, TextPart, Turn

__all__ = [
    "AudioPart",
    "BadInput",
    "Delta",
    "Endpoint",
    "EndpointError",
    "EngineError",
    "EngineEvent",
    "EngineFailed",
    "EngineReady",
    "EngineState",
    "EngineStopped",
    "EngineStopping",
    "Failed",
    "Failure",
    "Finished",
    "GemmaError",
    "GpuMemory",
    "HostMemory",
    "ImagePart",
    "LogLine",
    "ModelInfo",
    "Part",
    "Phase",
    "PhaseChanged",
    "Quantiles",
    "Role",
    "Sample",
    "Sampling",
    "Started",
    "StreamEvent",
    "TextPart",
    "Turn",
    "Usage",
    "UsageError",
]
