"""A package index of a few tiny wheels, and a lock of them: what an installation needs, in kilobytes."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from gemma_backend.runtime import locks

# Enough for the check at the end to be content.
PACKAGES: dict[str, tuple[str, dict[str, str]]] = {
    "nvidia-modelopt": (
        "0.47.0",
        {
            "modelopt/__init__.py": "__version__ = '0.47.0'\n",
            "modelopt/torch/__init__.py": "",
            "modelopt/torch/quantization.py": "",
            "modelopt/torch/export.py": "",
        },
    ),
    "transformers": (
        "5.19.0",
        {"transformers.py": "__version__ = '5.19.0'\nGemma4ForConditionalGeneration = object\n"},
    ),
    "torch": ("2.13.0+cpu", {"torch.py": "__version__ = '2.13.0+cpu'\n"}),
}


def build(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """Write a wheel for any Python into `folder`; it also brings a command, whose first line names its Python."""
    stem = name.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    module = next(iter(files)).split("/")[0].removesuffix(".py")
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {module}:print\n",
    }
    record = ""
    for path, text in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    contents[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    target = folder / f"{stem}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return target


@dataclass(frozen=True)
class TinyIndex:
    """A folder of wheels for pip's `find-links` and a folder of locks for `install(where=...)`."""

    wheels: Path
    locks: Path

    def write_lock(self, *, python: str, disk_bytes: int = 100_000, spoilt: str = "", extra: str = "") -> Path:
        """Lock everything that is in the index; the digest of `spoilt` is wrong."""
        lines = []
        for name, (version, _) in PACKAGES.items():
            data = (self.wheels / f"{name.replace('-', '_')}-{version}-py3-none-any.whl").read_bytes()
            digest = hashlib.sha256(data + (b"x" if name == spoilt else b"")).hexdigest()
            lines.append(f"{name}=={version} {digest} {len(data)}")
        head = {
            "runtime": "quantize",
            "python": python,
            "machine": locks.machine(),
            "glibc": "2.28",
            "download-bytes": "10000",
            "disk-bytes": str(disk_bytes),
        }
        path = self.locks / f"quantize-{locks.machine()}-py{python}.txt"
        path.write_text("".join(f"# {key}: {value}\n" for key, value in head.items()) + "\n".join(lines) + f"\n{extra}")
        return path


def make_index(folder: Path) -> TinyIndex:
    """Build the index below `folder`."""
    index = TinyIndex(folder / "wheels", folder / "locks")
    index.wheels.mkdir(parents=True)
    index.locks.mkdir()
    for name, (version, files) in PACKAGES.items():
        build(index.wheels, name, version, files)
    return index
