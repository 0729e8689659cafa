"""What a command's exit code says; help, manual pages and the reference are made from this."""

from __future__ import annotations

EXIT_CODES: dict[int, str] = {
    0: "done",
    2: "usage: a command line, setting or profile that asks for what does not exist, or nobody there to be asked",
    3: "an engine or its runtime failed",
    4: "an endpoint could not be reached, refused the key, or is no OpenAI server",
    5: "bad input: a file or text that cannot be used, or a disk that is full",
    70: "a bug of ours, reported in `bugs.log` in the log folder",
    129: "ended by a closed terminal",
    130: "ended by Ctrl+C",
    143: "ended by a termination signal",
}


def in_a_line() -> str:
    """All of them, shortly: each up to its colon or comma."""
    return ", ".join(f"{code} {text.partition(':')[0].partition(',')[0]}" for code, text in EXIT_CODES.items())
