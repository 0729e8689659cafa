"""Full-size checkpoints with true headers and bodies without content, sparse on the disk."""

from __future__ import annotations

import lzma
import shutil
import struct
from pathlib import Path

from gemma_backend.checkpoint.header import Checkpoint, read_checkpoint

FIXTURES = Path(__file__).parents[1] / "fixtures" / "checkpoints"
# Bytes of the whole files, so that the expanded header is known to be the true one.
SIZES = {"e2b-bf16": 10_208_852_910, "e2b-nvfp4a16": 7_510_994_374}


def expanded(name: str, folder: Path) -> Checkpoint:
    """The checkpoint `name` in `folder`, its weights a hole."""
    header = lzma.decompress((FIXTURES / name / "model.safetensors.header.json.xz").read_bytes())
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(SIZES[name])
    shutil.copy(FIXTURES / name / "config.json", folder)
    return read_checkpoint(folder)
