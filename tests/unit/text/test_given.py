"""Files that a person named: never more than is wanted, and no wait for a pipe that nobody fills."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from gemma_backend.text.given import read_given


def test_no_more_is_read_than_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert read_given(tmp_path / "a", 2) == b"ab"
    assert read_given(tmp_path / "a", 9) == b"abc"
    assert read_given(Path("/dev/zero"), 5) == bytes(5)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    text = b"0123456789" * 30_000
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(text,))
    writer.start()
    assert read_given(tmp_path / "pipe", 1 << 20) == text
    writer.join()


def test_a_silent_pipe_ends_what_came_through_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    # A writer that stays: without one the end of the file would be met.
    held = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        os.write(held, b"begun")
        assert read_given(tmp_path / "pipe", 100, pipe_seconds=0.05) == b"begun"
        with pytest.raises(OSError) as caught:
            read_given(tmp_path / "pipe", 100, pipe_seconds=0.05)
        assert caught.value.errno == errno.ETIMEDOUT
    finally:
        os.close(held)


def test_a_pipe_without_a_writer_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TimeoutError):
        read_given(tmp_path / "pipe", 100, pipe_seconds=0.05)
