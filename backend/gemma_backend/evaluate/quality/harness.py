"""Standard tasks through lm-evaluation-harness, where it is installed: its own command, asked over /v1/completions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gemma_backend.types import BadInput, Endpoint, EndpointError, UsageError

COMMAND = "lm_eval"


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one task, with its standard error where the harness gives one."""

    task: str
    metric: str
    value: float
    error: float | None


def command(endpoint: Endpoint, model: str, tokenizer: str, tasks: str, limit: int | None, out: Path) -> list[str]:
    """The harness's command line; the key goes by the environment (OPENAI_API_KEY)."""
    words = [f"model={model}", f"base_url={endpoint.v1}/completions", f"tokenizer={tokenizer}", "num_concurrent=4"]
    made = [COMMAND, "--model", "local-completions", "--model_args", ",".join(words), "--tasks", tasks]
    made += ["--output_path", str(out)]
    return made + (["--limit", str(limit)] if limit is not None else [])


def run(endpoint: Endpoint, model: str, tokenizer: str, tasks: str, limit: int | None = None) -> list[Score]:
    """Scores of `tasks` (names with commas); blocks, its own output goes to standard error.

    UsageError where the harness is not installed or the endpoint is a socket, EndpointError where it fails.
    """
    if shutil.which(COMMAND) is None:
        raise UsageError("--tasks needs lm-evaluation-harness, which is not installed: run `pip install lm-eval[api]`.")
    if endpoint.socket is not None:
        raise UsageError("--tasks needs an address: run `gemma-tui serve`, and give what it prints with --url.")
    with tempfile.TemporaryDirectory(prefix="gemma-eval-") as folder:
        environment = os.environ | ({"OPENAI_API_KEY": endpoint.api_key} if endpoint.api_key else {})
        words = command(endpoint, model, tokenizer, tasks, limit, Path(folder))
        done = subprocess.run(words, env=environment, stdout=2, check=False)
        found = sorted(Path(folder).rglob("results*.json"))
        if done.returncode or not found:
            raise EndpointError(f"lm_eval ended with code {done.returncode}: what it said stands above.")
        return parse(found[-1].read_text("utf-8"))


def parse(text: str) -> list[Score]:
    """Scores from the harness's results file."""
    try:
        results = json.loads(text)["results"]
        scores = []
        for task, values in sorted(results.items()):
            for name, value in values.items():
                metric, _, kind = name.partition(",")
                if isinstance(value, (int, float)) and not metric.endswith("_stderr") and metric != "alias":
                    error = values.get(f"{metric}_stderr,{kind}")
                    known = error if isinstance(error, (int, float)) else None
                    scores.append(Score(task, metric, float(value), known))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput("The results that lm_eval wrote can't be read: its version may be too new.") from None
    return scores
