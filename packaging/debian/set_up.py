#!/usr/bin/python3
"""Make the user's environment of the installed version: asked for, built aside, moved into place in one step.

Arguments: the folder of the package's files, the environment's folder. Standard library only. Exit codes: 0 done,
2 where the answer was no or nobody could be asked, 3 where it failed.
"""

import os
import pathlib
import shutil
import subprocess
import sys

SIZE = "some 45 MB to fetch, 230 MB on disk"


def main() -> int:
    """Ask, build, check, move into place; earlier versions' environments are removed."""
    share, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    if not agreed(target):
        print("gemma-tui: not set up; set GEMMA_TUI_YES=1 to set it up without being asked.", file=sys.stderr)
        return 2
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = target.with_name(f".{target.name}-{os.getpid()}")
    try:
        build(share, aside, target)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)
        print(
            f"gemma-tui: the set-up failed ({error}); see to the network and the disk, then try again.", file=sys.stderr
        )
        return 3
    for old in target.parent.iterdir():
        if old != target:
            shutil.rmtree(old, ignore_errors=True)
    return 0


def agreed(target: pathlib.Path) -> bool:
    """Whether the person wants it: said by GEMMA_TUI_YES=1, or asked on the terminal."""
    if os.environ.get("GEMMA_TUI_YES") == "1":
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"gemma-tui sets itself up once for you: {SIZE}, in {target}.\nGo on? [Y/n] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")


def build(share: pathlib.Path, aside: pathlib.Path, target: pathlib.Path) -> None:
    """An environment with exactly the packages whose digests are listed, and the program; `complete` marks its end."""
    shutil.rmtree(target, ignore_errors=True)
    # Commands in an environment hold its path, so it is built where it stays, and counts only once it is marked.
    aside.mkdir(mode=0o700)
    aside.rename(target)
    subprocess.run([sys.executable, "-m", "venv", str(target)], check=True)
    pip = [str(target / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    wheel = next(share.glob("gemma_tui-*.whl"))
    subprocess.run([*pip, "--require-hashes", "-r", str(share / "packages.lock")], check=True)
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    subprocess.run([str(target / "bin" / "gemma-tui"), "--version"], check=True, stdout=subprocess.DEVNULL)
    (target / "complete").touch()


if __name__ == "__main__":
    sys.exit(main())
