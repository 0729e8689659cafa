"""vLLM plugin that hands oneDNN's matrix product rows that lie in one piece.

On processors without AMX vLLM multiplies BF16 matrices with oneDNN, whose wrapper checks that the last dimension is
contiguous. The output of the audio tower's depthwise convolution is not, and the worker ends at the first clip
(`Expected a.stride(-1) == 1`, seen with vLLM 0.32).
"""

from __future__ import annotations

from typing import Any

from gemma_in_engine import vllm_names


def register() -> None:
    """Entry point in vLLM's group `vllm.general_plugins`; does nothing off the CPU, or a second time."""
    platform = vllm_names.look_up(vllm_names.PLATFORM)
    product = vllm_names.look_up(vllm_names.ONEDNN_GEMM)
    if platform is None or not platform.is_cpu() or product is None or hasattr(product, "gathers_rows"):
        return

    def gathered(handler: Any, x: Any, bias: Any | None) -> Any:
        return product(handler, x if x.stride(-1) == 1 else x.contiguous(), bias)

    gathered.gathers_rows = True  # type: ignore[attr-defined]
    vllm_names.replace(vllm_names.ONEDNN_GEMM, gathered)
