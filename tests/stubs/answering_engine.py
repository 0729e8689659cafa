"""Stands in for vLLM's server as a process: it answers on the socket it was given, and dies when asked "die".

`environment(folder)` makes a folder that passes for an environment with vLLM in it, to be named by `path:FOLDER`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def environment(folder: Path) -> Path:
    """Make `folder` an environment whose python tells of a vLLM, and runs this program where vLLM was to be run."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    told = '{"python": "3.11.0", "vllm": "0.32.0+cpu", "torch": "2.13.0+cpu"}'
    python.write_text(
        "#!/bin/sh\n"
        f"if [ \"$1\" = -I ]; then echo '{told}'; exit; fi\n"
        f'PYTHONPATH="{TESTS}" exec "{sys.executable}" -m stubs.answering_engine "$@"\n'
    )
    python.chmod(0o755)
    return folder


async def serve(words: list[str]) -> None:
    """Serve until killed."""
    from stubs.openai_server import OpenAIServer, Reply, Request

    def reply(request: Request) -> Reply:
        body = request.json
        said = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        if said == "die":
            asyncio.get_running_loop().call_later(0.3, os._exit, 1)
            return Reply("word " * 10_000, rate=50)
        return Reply(f" You said {said}.")

    async with OpenAIServer(
        socket=words[words.index("--uds") + 1], models=[words[words.index("--served-model-name") + 1]], reply=reply
    ):
        print("INFO:     Application startup complete.", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv))
