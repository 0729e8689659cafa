"""Start vLLM's OpenAI server as `python -m gemma_in_engine.launcher <server arguments>`.

This module is `__main__`, so the children that vLLM spawns import it again (as `__mp_main__`) and get the same
preparations; that is why they stand at module level. Environment variables, among them `GEMMA_TUI_ENGINE_ID` by which
an engine's processes are recognised, go through to the children unchanged.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys

from gemma_in_engine import distribution_name, keeper_watch, parent_death, torchvision_operators

# Newest last: the first that exists is run. The older one still answers in 0.33, where the newer one stands behind it.
SERVERS = ("vllm.entrypoints.openai.api_server", "vllm.entrypoints.launchers.api_server.entry")

parent_death.follow()
distribution_name.supply()
torchvision_operators.supply()


def server_module() -> str:
    """Name of the module that serves the OpenAI protocol in the vLLM that is installed; ModuleNotFoundError if none."""
    if importlib.util.find_spec("vllm") is None:
        raise ModuleNotFoundError(f"vLLM is not installed in {sys.prefix}")
    for name in SERVERS:
        try:
            if importlib.util.find_spec(name) is not None:
                return name
        except ModuleNotFoundError:
            continue
    raise ModuleNotFoundError(f"the vLLM in {sys.prefix} has no OpenAI server that is known here: {', '.join(SERVERS)}")


if __name__ == "__main__":
    keeper_watch.start()
    # `sys.modules["__main__"]` stays this module: a spawned child runs what that names.
    runpy.run_module(server_module(), run_name="__main__")
