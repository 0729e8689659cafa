"""What can go wrong, one type for each thing a caller handles; `str()` is the sentence a person reads."""

from __future__ import annotations

from gemma_backend.types.engine import Failure


class GemmaError(Exception):
    """A failure with a sentence for a person; `exit_code` is what a command ends with."""

    exit_code = 70


class UsageError(GemmaError):
    """The command line, a setting or a profile asks for something that does not exist."""

    exit_code = 2


class EngineError(GemmaError):
    """An engine or its runtime could not be made to run."""

    exit_code = 3

    def __init__(self, message: str, failure: Failure | None = None) -> None:
        super().__init__(message)
        self.failure = failure


class EndpointError(GemmaError):
    """A server could not be reached, refused the key, or is no OpenAI server."""

    exit_code = 4


class BadInput(GemmaError):
    """A file or text given by a person cannot be used."""

    exit_code = 5
