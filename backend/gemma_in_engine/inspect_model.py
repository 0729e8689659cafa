"""What vLLM runs in a process of its own to look at a model class, with torchvision's operators supplied first.

vLLM starts `python -m vllm.model_executor.models.registry`, which is no child that imports the launcher again.
"""

from __future__ import annotations

import runpy
import sys

from gemma_in_engine import distribution_name, torchvision_operators, vllm_names


def register() -> None:
    """Entry point in vLLM's group `vllm.general_plugins`: have vLLM start this module instead of its own."""
    if vllm_names.look_up(vllm_names.INSPECT_COMMAND) is None:
        vllm_names.say_missing(vllm_names.INSPECT_COMMAND, "model classes are inspected without our preparations")
        return
    vllm_names.replace(vllm_names.INSPECT_COMMAND, [sys.executable, "-m", __name__])


if __name__ == "__main__":
    distribution_name.supply()
    torchvision_operators.supply()
    runpy.run_module(vllm_names.INSPECT_COMMAND[0], run_name="__main__", alter_sys=True)
