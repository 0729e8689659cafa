"""Write the locks of the managed runtimes into assets: exact versions, and the one wheel that fits each platform.

    python packaging/locks/make.py [--runtime cpu|cuda|cuda-0.26.0|quantize] [--uv PATH]

Needs `uv` and the package `packaging`. Nothing about where a package was found is written. A CUDA lock carries vLLM's
version in its name, since there are two; what each was really run on stands in `run-on.toml` beside the locks, written
by hand: look at it when a version changes.

PyTorch's CPU builds (`+cpu`) are on PyTorch's own index, not on PyPI, so their wheels are listed in `pytorch_cpu.toml`
and take the place of the builds that the resolution found. A wheel without a digest there is checked by its exact
version and by the digest that the index gives with the link, over TLS.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

HERE = Path(__file__).parent
PYTORCH_CPU = tomllib.loads((HERE / "pytorch_cpu.toml").read_text())
TARGET = HERE.parents[1] / "assets" / "gemma_assets" / "locks"
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
# The oldest C library that the lock still works with; later ones are tried where a package has no older wheel.
GLIBC = (28, 31, 34, 35, 39)
# Bytes on disk for each byte of wheels, measured: CPU 2,080 MB from 604 MB, CUDA's libraries compress less.
UNPACKED = {"cpu": 3.5, "cuda": 2.2, "cuda-0.26.0": 2.2, "quantize": 4.0}
# The pair of releases that vLLM 0.32 asks for; left to itself the resolution takes a torchvision of another torch.
CPU_PINS = "torch==2.13.0\ntorchvision==0.28.0\n"
# Left out of the CPU builds: they belong to another torch and end the server at import, or are for GPUs.
LEFT_OUT_ON_CPU = re.compile(r"torchaudio|torchcodec|triton|nvidia-(?!modelopt|ml-py).*|cuda-.*")


def resolve(uv: str, runtime: str, python: str, machine: str, glibc: int) -> list[dict[str, Any]] | None:
    """Packages of one lock in uv's standard form, None where some package has no wheel for this C library."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "pylock.toml")
        override = Path(folder, "override.txt")
        override.write_text("" if runtime.startswith("cuda") else CPU_PINS)
        command = [uv, "pip", "compile", str(HERE / f"{runtime}.in"), "--override", str(override)]
        command += ["--python-version", python, "--python-platform", f"{machine}-manylinux_2_{glibc}"]
        command += ["--only-binary", ":all:", "--format", "pylock.toml", "-o", str(out), "-q"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"  glibc 2.{glibc}: {done.stderr.strip()[:400]}", file=sys.stderr)
            return None
        packages: list[dict[str, Any]] = tomllib.loads(out.read_text())["packages"]
        return packages


def accepted(python: str, machine: str, glibc: int) -> list[Tag]:
    """Wheel tags that such a machine installs, the best first."""
    version = tuple(int(part) for part in python.split("."))
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(glibc, 16, -1)] + [f"manylinux2014_{machine}"]
    if machine == "x86_64":
        platforms += [f"manylinux_2_{minor}_x86_64" for minor in range(16, 4, -1)]
        platforms += ["manylinux2010_x86_64", "manylinux1_x86_64"]
    platforms.append(f"linux_{machine}")
    return [
        *cpython_tags(version, platforms=platforms),
        *compatible_tags(version, f"cp{version[0]}{version[1]}", platforms),
    ]


def line(package: dict[str, Any], tags: list[Tag]) -> tuple[str, int] | None:
    """One line of the lock and the wheel's size; None where no wheel fits."""
    best: tuple[int, dict[str, Any]] | None = None
    for wheel in package.get("wheels", []):
        fits = [tags.index(tag) for tag in parse_wheel_filename(wheel["url"].rsplit("/", 1)[-1])[3] if tag in tags]
        if fits and (best is None or min(fits) < best[0]):
            best = min(fits), wheel
    if best is None:
        return None
    name, wheel = canonicalize_name(package["name"]), best[1]
    return f"{name}=={package['version']} {wheel['hashes']['sha256']} {wheel['size']}", int(wheel["size"])


def lock(uv: str, runtime: str, python: str, machine: str) -> tuple[str, str] | None:
    """The version in the name and the text of one lock, None where the runtime can't be had for this platform."""
    device = runtime.partition("-")[0]
    for glibc in GLIBC:
        packages = resolve(uv, runtime, python, machine, glibc)
        if packages is None:
            continue
        tags = accepted(python, machine, glibc)
        builds = {} if device == "cuda" else PYTORCH_CPU[f"{machine}-{python}"]
        lines, total = [], 0
        for package in packages:
            name = canonicalize_name(package["name"])
            if device != "cuda" and LEFT_OUT_ON_CPU.fullmatch(name):
                continue
            made = line(package, tags)
            if made is None:
                print(f"  glibc 2.{glibc}: no wheel of {name} {package['version']}", file=sys.stderr)
                break
            build = builds.get(name)
            if build is not None:
                # The plain wheel of torchvision stays: it is what is left where PyTorch's index is shut.
                lines.append(f"{name}=={package['version']}+cpu {build['sha256'] or '-'} {build['size']}")
                total += build["size"]
                if name == "torch":
                    continue
                lines.append("? " + made[0])
                continue
            lines.append(made[0])
            total += made[1]
        else:
            head = {"runtime": device, "python": python, "machine": machine, "glibc": f"2.{glibc}"}
            head |= {"download-bytes": str(total), "disk-bytes": str(round(total * UNPACKED[runtime]))}
            vllm = next((package["version"] for package in packages if package["name"] == "vllm"), "")
            text = "".join(f"# {key}: {value}\n" for key, value in head.items()) + "\n".join(lines) + "\n"
            return f"-{vllm}" if device == "cuda" else "", text
    return None


def main() -> int:
    """Make the locks that were asked for and say which could not be made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", action="append", choices=sorted(UNPACKED))
    parser.add_argument("--uv", default="uv")
    options = parser.parse_args()
    TARGET.mkdir(parents=True, exist_ok=True)
    for runtime in options.runtime or sorted(UNPACKED):
        for machine in MACHINES:
            for python in PYTHONS:
                made = lock(options.uv, runtime, python, machine)
                if made is None:
                    print(f"{runtime} for {machine} and Python {python}: cannot be resolved")
                    continue
                version, text = made
                path = TARGET / f"{runtime.partition('-')[0]}{version}-{machine}-py{python}.txt"
                path.write_text(text)
                print(f"{path.name}: {text.count(chr(10))} lines, {len(text)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
