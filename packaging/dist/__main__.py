"""`make dist`: builds all that is handed out into dist/, and says how large each is.

    python -m dist [--no-deb]

The Debian package needs debhelper and dpkg-dev (`apt-get install debhelper dpkg-dev`); everything else only needs the
development environment. Two builds of one commit give the same wheel.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from email.utils import formatdate
from pathlib import Path

from dist import completions, manual
from gemma_tui import __version__

ROOT = Path(__file__).parents[2]
OUT = ROOT / "dist"
WORK = ROOT / "build" / "deb"
WHEEL_LIMIT = 25_000_000


def main() -> int:
    """Build; 3 where a tool that the Debian package needs is missing."""
    parser = argparse.ArgumentParser(prog="python -m dist", description="Build everything that is handed out.")
    parser.add_argument("--no-deb", action="store_true", help="leave the Debian package out")
    options = parser.parse_args()
    shutil.rmtree(OUT, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(OUT)], cwd=ROOT, check=True)
    wheel = next(OUT.glob("*.whl"))
    if wheel.stat().st_size > WHEEL_LIMIT:
        print(f"{wheel.name} is over {WHEEL_LIMIT / 1e6:.0f} MB", file=sys.stderr)
        return 1
    manual.write(OUT / "man")
    completions.write(OUT / "completions")
    shutil.copytree(ROOT / "packaging" / "desktop", OUT / "desktop")
    if not options.no_deb:
        if shutil.which("dpkg-buildpackage") is None or shutil.which("dh") is None:
            print("The Debian package needs debhelper and dpkg-dev; or leave it out with --no-deb.", file=sys.stderr)
            return 3
        debian(wheel)
    for path in sorted(OUT.rglob("*")):
        if path.is_file():
            print(f"{path.stat().st_size:>11,}  {path.relative_to(OUT)}")
    return 0


def debian(wheel: Path) -> None:
    """Build the Debian package from what lies in dist/ already."""
    shutil.rmtree(WORK, ignore_errors=True)
    tree = WORK / f"gemma-tui-{__version__}"
    staged = tree / "staged"
    staged.mkdir(parents=True)
    shutil.copytree(ROOT / "packaging" / "debian", tree / "debian")
    for name in ("man", "completions", "desktop"):
        shutil.copytree(OUT / name, staged / name)
    shutil.copy(wheel, staged)
    shutil.copy(ROOT / "README.md", staged)
    shutil.copy(ROOT / "packaging" / "requirements" / "run.txt", staged / "packages.lock")
    (tree / "debian" / "set_up.py").rename(staged / "set-up")
    command = (tree / "debian" / "command.sh").read_text("utf-8").replace("@VERSION@", __version__)
    (tree / "debian" / "command.sh").unlink()
    (staged / "gemma-tui").write_text(command, encoding="utf-8")
    for name in ("gemma-tui", "set-up"):
        (staged / name).chmod(0o755)
    (tree / "debian" / "changelog").write_text(_changelog(), encoding="utf-8")
    subprocess.run(["dpkg-buildpackage", "-us", "-uc", "-b", "-d"], cwd=tree, check=True, stdout=subprocess.DEVNULL)
    shutil.copy(next(WORK.glob("*.deb")), OUT)


def _changelog() -> str:
    """Debian's changelog: one entry for the version, dated by the commit that is built."""
    asked = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    date = formatdate(int(done.stdout) if done.stdout.strip() else None)
    return (
        f"gemma-tui ({__version__}) unstable; urgency=medium\n\n"
        "  * See CHANGELOG.md of the sources.\n\n"
        f" -- gemma-tui maintainers <maintainers@gemma-tui.invalid>  {date}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
