"""Following a log that grows and is rotated."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from gemma_backend.engine.logfile import Log
from gemma_backend.engine.tail import Tail


def test_lines_come_whole_and_survive_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    tail = Tail(path)
    assert list(tail.lines()) == []
    log = Log(str(path), 40)
    log.write(b"one\ntw")
    assert list(tail.lines()) == ["one"]
    log.write("o ü".encode()[:-1])
    assert list(tail.lines()) == []
    log.write("ü".encode()[-1:] + b"\n10%\r20%\r\nx\xff\n")
    assert list(tail.lines()) == ["two ü", "10%", "20%", "x\ufffd"]
    log.write(b"a" * 30 + b"\n")
    assert path.with_name("engine.log.1").exists()
    log.write(b"end\n")
    assert list(tail.lines()) == ["a" * 30, "end"]
    tail.close()
    assert path.stat().st_mode & 0o077 == 0


def test_at_most_two_files(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    log = Log(str(path), 100)
    for number in range(100):
        log.write(b"line %d\n" % number)
    assert sum(one.stat().st_size for one in tmp_path.iterdir()) <= 200
    assert path.read_bytes().endswith(b"line 99\n")


def test_what_cannot_be_read_is_no_reason_to_fail(tmp_path: Path) -> None:
    with closing(Tail(tmp_path)) as tail:
        assert list(tail.lines()) == []
    with closing(Tail(tmp_path / "absent")) as tail:
        assert list(tail.lines()) == []
