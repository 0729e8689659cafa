"""Which kernels multiply FP4 weights, in the words of each vLLM, and where one would choose wrong by itself.

Sources: vllm/envs.py and vllm/config/kernel.py of 0.17 to 0.33; vllm/model_executor/layers/quantization/modelopt.py.
"""

from __future__ import annotations

from gemma_backend.checkpoint.fp4 import NVFP4, W4A16, Fp4
from gemma_backend.types import UsageError

FLAG = "linear-backend"
VARIABLE = "VLLM_NVFP4_GEMM_BACKEND"
MARLIN = "marlin"
# The variable works up to 0.23 and is then ignored; the option came with 0.22.
VARIABLE_UNTIL = (0, 24)
FLAG_SINCE = (0, 22)
VALUES = ("cutlass", "flashinfer-cudnn", "flashinfer-cutlass", "flashinfer-trtllm", "marlin")
# `W4A16_NVFP4` is known from 0.21 on; from 0.29 `NVFP4` with groups that name no input activations is the same.
W4A16_SINCE = (0, 21)
GROUPS_SINCE = (0, 29)

Value = str | int | float | bool
Version = tuple[int, ...]


def translate(flags: dict[str, Value], env: dict[str, str], version: Version) -> None:
    """Put the choice that `flags` or `env` hold into the form that `version` understands; () is the newest.

    UsageError for a backend that this release cannot be asked for.
    """
    if FLAG in flags and env.get(VARIABLE) is not None:
        # Both at once: the option is the newer word for it.
        del env[VARIABLE]
    if FLAG in flags and version and version < VARIABLE_UNTIL:
        value = str(flags[FLAG]).replace("_", "-")
        if value in VALUES:
            env[VARIABLE] = value
            del flags[FLAG]
        elif version < FLAG_SINCE:
            if value != "auto":
                known = ", ".join(VALUES)
                release = ".".join(map(str, version))
                raise UsageError(f"vLLM {release} has no FP4 backend {flags[FLAG]!r}: choose one of {known}.")
            del flags[FLAG]
    elif VARIABLE in env and (not version or version >= VARIABLE_UNTIL):
        flags[FLAG] = env.pop(VARIABLE).replace("-", "_")


def guesses_wrong(weights: Fp4 | None, version: Version) -> bool:
    """Whether this vLLM would take weight-only NVFP4 for W4A4 and multiply by a scale that was never set.

    Marlin ignores that scale.
    """
    if weights is None or weights.algorithm != NVFP4 or not weights.weight_only:
        return False
    if version and version < GROUPS_SINCE:
        return True
    return not weights.groups_say


def cannot_read(weights: Fp4 | None, version: str, numbers: Version) -> str | None:
    """Why this vLLM cannot read such a checkpoint, in a sentence; None where nothing is known against it."""
    if weights is None or weights.algorithm != W4A16:
        return None
    if numbers and numbers < W4A16_SINCE:
        return (
            f"vLLM {version} cannot read NVFP4 weights without activations (quant_algo {W4A16}): "
            "0.21 was the first; use a newer runtime."
        )
    if not weights.in_config:
        return (
            f"vLLM does not find quant_algo {W4A16} in hf_quant_config.json alone: add its contents to config.json as "
            "quantization_config, or export the checkpoint with a ModelOpt from 0.44 on."
        )
    return None
