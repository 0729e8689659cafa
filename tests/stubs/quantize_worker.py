"""Stands in for the Python that has ModelOpt: writes what the script would write, or stops on the way.

Run as `PYTHON … quantize.py SRC DST …`; what it does is told by `WORKER` in the environment. Real quantising takes
twenty seconds and can't be stopped at a chosen moment.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from stubs import checkpoints


def main() -> None:
    words = sys.argv[1:]
    target = Path(words[1])
    descriptor = int(words[words.index("--progress-fd") + 1])
    with os.fdopen(descriptor, "w") as progress:
        for part in (0.1, 0.5):
            progress.write(json.dumps({"stage": "load", "fraction": part, "text": "loading"}) + "\n")
            progress.flush()
        task = os.environ["WORKER"]
        if task == "unfit":
            progress.write(json.dumps({"unfit": "there is no room left for made"}) + "\n")
            progress.flush()
            sys.exit(5)
        if task == "fail":
            sys.exit("ValueError: the layers do not fit")
        made = checkpoints.quantised_tensors(checkpoints.source_tensors())
        if task == "incomplete":
            made.pop("model.language_model.layers.0.mlp.down_proj.weight_scale")
        checkpoints.checkpoint(target, made, checkpoints.QUANTISED_CONFIG)
        if task == "hang":
            (target / "worker.pid").write_text(str(os.getpid()))
            time.sleep(600)
        record = {
            "format": "nvfp4a16",
            "options": {
                "samples": 512,
                "batch_size": 4,
                "seq_len": 1024,
                "seed": 0,
                "exclude": [],
                "fuse_scales": True,
                "scales": "max",
            },
            "calibration": None,
            "source": {"name": "source", "files": {}},
            "device": "cpu",
            "versions": {"nvidia-modelopt": "0"},
        }
        (target / "quantize.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main()
