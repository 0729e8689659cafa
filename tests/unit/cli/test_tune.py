"""`gemma-tui tune` before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from gemma_tui.cli.main import main


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "CACHE", "CONFIG", "LOG"):
        monkeypatch.setenv(f"GEMMA_TUI_{name}_DIR", str(tmp_path / name.lower()))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--budget", "soon"], 2, "'soon' is none"),
        (["--budget", "0m"], 2, "'0m' is none"),
        (["--knob", "fast"], 2, "'fast' is no NAME=VALUE"),
        (["--name", "My Profile"], 2, "cannot be a profile's name"),
        (["--streams", "-1"], 2, "must be 1 or more"),
        (["--tolerance", "0"], 2, "--tolerance must be more than 0"),
        (["--profile", "pockett"], 2, "did you mean 'pocket'"),
    ],
)
def test_wrong_use_is_one_sentence(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments if "--profile" in arguments else ["--profile", "pocket", *arguments]
    assert main(["tune", "--dry-run", *given]) == code
    output, errors = capsys.readouterr()
    assert output == ""
    assert said in errors
    assert len(errors.splitlines()) == 1


def test_a_dry_run_says_what_would_come_first(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["tune", "--profile", "pocket", "--dry-run", "--knob", "stream-interval=8", "--knob", "max-num-seqs=4;16"]
    assert main(words) == 0
    output = capsys.readouterr().out
    assert output.startswith("6 configurations of pocket for latency, within 30 minutes:")
    lines = [line.split(" s  ")[1] for line in output.splitlines()[1:]]
    assert lines[0] == "as it is"
    assert sorted(lines[1:]) == sorted(
        ["--stream-interval 8", "--max-num-seqs 4", "--max-num-seqs 16", "--max-num-seqs 4 --stream-interval 8",
         "--max-num-seqs 16 --stream-interval 8"]
    )  # fmt: skip
    assert not (tmp_path / "state").exists()


def test_a_profile_of_the_persons_own_is_never_overwritten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    own = tmp_path / "config" / "profiles" / "pocket-latency.toml"
    own.parent.mkdir(parents=True)
    own.write_text('format_version = 1\ncheckpoint = "bundled:pocket"\n')
    assert main(["tune", "--profile", "pocket"]) == 5
    assert "give the result another name with --name" in capsys.readouterr().err
    assert own.read_text() == 'format_version = 1\ncheckpoint = "bundled:pocket"\n'
