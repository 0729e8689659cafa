"""What `ask` can ask of a reply: alternatives, probabilities, a schema; and what came of it."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gemma_backend.types import Declined, Failed, Finished, GemmaError, Options, StreamEvent, Token, Usage

_MOST_ALTERNATIVES = 64
_MOST_LOGPROBS = 20
_SCHEMA_LIMIT = 4 << 20


def add_reply_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a reply is like."""
    group = parser.add_argument_group("the reply")
    group.add_argument("--n", type=_between(1, _MOST_ALTERNATIVES), metavar="N", default=1, help="alternatives")
    group.add_argument(
        "--logprobs",
        type=_between(0, _MOST_LOGPROBS),
        metavar="K",
        help="list each token with its probability and the K likeliest ones, on standard error or in --json",
    )
    group.add_argument("--schema", metavar="FILE", help="JSON Schema that the reply has to follow")


def reply_options(args: argparse.Namespace) -> Options:
    """The options that the command line asks for; raises BadInput for a schema that is none."""
    from gemma_backend.types import Options

    schema = _schema(args.schema) if args.schema is not None else None
    return Options(n=args.n, logprobs=args.logprobs, schema=schema)


class Replies:
    """Gathers the events of a reply and its alternatives."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._texts: dict[int, list[str]] = {}
        self._tokens: dict[int, list[Token]] = {}
        self._reasons: dict[int, str] = {}
        self.reasoning = ""
        self.usage: Usage | None = None
        self.finished: Finished | None = None
        self._failed: Failed | None = None

    def take(self, event: StreamEvent) -> None:
        """Count `event` in; raises EndpointError where the server does not offer a schema that was asked for."""
        from gemma_backend.types import ChoiceEnded, Declined, Delta, EndpointError, Failed, Finished, Usage

        match event:
            case Delta(text, reasoning, index, tokens):
                self._texts.setdefault(index, []).append(text)
                self._tokens.setdefault(index, []).extend(tokens)
                self.reasoning += reasoning
            case ChoiceEnded(index, reason):
                self._reasons[index] = reason
            case Usage():
                self.usage = event
            case Finished():
                self.finished = event
            case Failed():
                self._failed = event
            case Declined("response_format", message):
                raise EndpointError(f"The server cannot hold a reply to a schema. {message}")
            case _:
                pass

    def text(self, index: int) -> str:
        """The text of an alternative, counted from 0."""
        return "".join(self._texts.get(index, ()))

    def tokens(self, index: int) -> Sequence[Token]:
        """The tokens of an alternative; none where the server told no probabilities."""
        return self._tokens.get(index, ())

    def described(self, index: int) -> dict[str, Any]:
        """An alternative as JSON values."""
        reason = self._reasons.get(index) or (self.finished.reason if self.finished else "error")
        answer: dict[str, Any] = {"text": self.text(index), "finish_reason": reason}
        if self._options.logprobs is not None:
            answer["logprobs"] = [
                {"token": token.text, "logprob": token.logprob, "top": [list(one) for one in token.candidates]}
                for token in self.tokens(index)
            ]
        return answer

    def check(self) -> None:
        """Raise what went wrong: a reply that failed, or that does not follow its schema."""
        from gemma_backend.types import EndpointError

        if self._failed is not None:
            raise failure(self._failed)
        if self._options.schema is None:
            return
        for index in range(self._options.n):
            try:
                json.loads(self.text(index))
            except (ValueError, RecursionError):
                cut = "length" in (self._reasons.get(index), self.finished.reason if self.finished else None)
                why = (
                    "it was cut off at the limit of tokens: raise --max-tokens."
                    if cut
                    else "it is no JSON: the server did not hold it to the schema."
                )
                raise EndpointError(f"The reply does not follow the schema, since {why}") from None


def declined(event: Declined) -> None:
    """Say on standard error that the server does not offer an option."""
    from gemma_backend.text.clean import clean

    print(f"gemma-tui: without {event.option}: {clean(event.message, keep_newlines=False)}", file=sys.stderr)


def token_table(tokens: Sequence[Token]) -> str:
    """One line for each token: itself in JSON's spelling, its probability, then the likeliest ones with theirs."""
    lines = []
    for token in tokens:
        top = "  ".join(f"{json.dumps(text)} {_percent(logprob)}" for text, logprob in token.candidates)
        own = _percent(token.logprob) if token.logprob is not None else "-"
        lines.append(f"{json.dumps(token.text):<14} {own:>6}   {top}\n")
    return "".join(lines)


def failure(event: Failed) -> GemmaError:
    """The exception whose exit code is that of `event`."""
    from gemma_backend.types import BadInput, EndpointError, EngineError, UsageError

    errors: dict[int, type[GemmaError]] = {2: UsageError, 3: EngineError, 4: EndpointError, 5: BadInput}
    return errors.get(event.exit_code, EndpointError)(event.message)


def _schema(name: str) -> dict[str, Any]:
    from pathlib import Path

    from gemma_backend.text.given import read_given
    from gemma_backend.types import BadInput

    try:
        data = read_given(Path(name), _SCHEMA_LIMIT + 1)
    except OSError as error:
        raise BadInput(f"--schema {name} cannot be read: {error.strerror or 'it is no file'}.") from None
    if len(data) > _SCHEMA_LIMIT:
        raise BadInput(f"--schema {name} is larger than {_SCHEMA_LIMIT >> 20} MiB, which no schema is.")
    try:
        schema = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"--schema {name} is no JSON ({error}): mend the file.") from None
    if not isinstance(schema, dict):
        raise BadInput(f"--schema {name} holds no JSON Schema: it must be an object, as in {{'type': 'object'}}.")
    return schema


def _percent(logprob: float) -> str:
    return f"{math.exp(logprob):.1%}"


def _between(least: int, most: int) -> Any:
    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}")
        return value

    return number
