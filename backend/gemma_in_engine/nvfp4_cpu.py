"""vLLM plugin that serves NVFP4 checkpoints on a CPU, for which vLLM has no kernel.

Weights are turned into the model's dtype once, after loading, so memory is that of an unquantised checkpoint. Where a
checkpoint quantises activations too (W4A4), they are rounded to NVFP4 in each call, as the format says.

The format (NVIDIA ModelOpt, `modelopt/torch/quantization/qtensor/nvfp4_tensor.py`): two E2M1 numbers a byte, the first
in the low half; one FP8 E4M3 scale for 16 numbers along the input dimension; one FP32 scale for the whole tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gemma_in_engine import vllm_names

GROUP = 16
# The eight magnitudes of E2M1 (OCP Microscaling Formats 1.0, table 5), then the same with the sign bit set.
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)
E2M1_MAX = 6.0
FP8_MAX = 448.0
NAME = "CpuNvFp4LinearKernel"


def dequantize(packed: Any, group_scale: Any, global_scale: Any, dtype: Any) -> Any:
    """Weights of shape (N, K) in `dtype` from packed bytes (N, K/2), FP8 scales (N, K/16) and FP32 scale(s).

    `global_scale` is a scalar or has shape (N, 1). The product is formed in FP32 and rounded once more, to `dtype`.
    """
    rows, half = packed.shape
    table = torch.tensor(E2M1, dtype=torch.float32)
    codes = torch.stack((packed & 0x0F, packed >> 4), dim=-1).reshape(rows, half * 2)
    numbers = table[codes.to(torch.int32)].reshape(rows, -1, GROUP)
    # E2M1 times E4M3 is exact in FP32, so only the product with the global scale rounds.
    numbers *= group_scale.to(torch.float32).unsqueeze(-1)
    return (numbers.reshape(rows, half * 2) * global_scale).to(dtype)


def round_activations(x: Any, global_scale_inverse: Any) -> Any:
    """`x` rounded to NVFP4 and divided by the global scale, in the dtype of `x`.

    Left out of the global scale, an E2M1 number times an E4M3 scale has at most six significant bits: BF16 holds it
    exactly, and the caller multiplies the product of the matrices by the global scale.
    """
    groups = x.to(torch.float32).unflatten(-1, (-1, GROUP))
    scale = groups.abs().amax(dim=-1, keepdim=True) * (global_scale_inverse / E2M1_MAX)
    scale = scale.clamp(max=FP8_MAX).to(torch.float8_e4m3fn).to(torch.float32)
    scaled = torch.where(scale > 0, groups * (global_scale_inverse / scale), torch.zeros_like(groups))
    size = scaled.abs()
    # Steps between neighbours of E2M1: 0.5 below 2, 1 below 4, 2 above. torch.round goes to even, as the format does.
    step = torch.where(size < 2, 0.5, torch.where(size < 4, 1.0, 2.0))
    rounded = torch.copysign((torch.round(size / step) * step).clamp(max=E2M1_MAX), scaled)
    return (rounded * scale).flatten(-2).to(x.dtype)


class _CpuKernel:
    """What vLLM asks of an NVFP4 kernel, done with weights in the model's dtype."""

    def __init__(self, config: Any) -> None:
        self.config = config
        # vLLM builds layers with the model's dtype as torch's default.
        self.dtype = torch.get_default_dtype()

    def input_quant_key(self) -> None:
        """Activations are rounded here, if at all, so layers pass them on as they are."""

    @classmethod
    def is_supported(cls, compute_capability: int | None = None) -> tuple[bool, str | None]:
        return True, None

    @classmethod
    def can_implement(cls, config: Any) -> tuple[bool, str | None]:
        return True, None

    def process_weights_after_loading(self, layer: Any) -> None:
        scale = _row_scales(layer)
        weight = dequantize(layer.weight.data, layer.weight_scale.data, scale, self.dtype)
        layer.weight = torch.nn.Parameter(weight, requires_grad=False)
        del layer.weight_scale
        pack = vllm_names.look_up(vllm_names.CPU_GEMM)
        if pack is None:
            vllm_names.say_missing(vllm_names.CPU_GEMM, "NVFP4 layers use torch's plain matrix product")
        else:
            pack(layer, remove_weight=True)

    def apply_weights(self, layer: Any, x: Any, bias: Any | None = None) -> Any:
        product = getattr(layer, "cpu_linear", torch.nn.functional.linear)
        inverse = getattr(layer, "input_global_scale_inv", None)
        if inverse is None:
            return product(x, layer.weight, bias)
        out = product(round_activations(x, inverse), layer.weight, None) * layer.input_global_scale.to(x.dtype)
        return out if bias is None else out + bias


def _row_scales(layer: Any) -> Any:
    """The global scale of each row, shape (N, 1), or one scalar for all.

    Fused projections (q/k/v, gate/up) may each have their own; vLLM keeps the largest, which would be wrong for the
    others, so `_keep_scales` has put them aside.
    """
    kept = getattr(layer, "gemma_global_scales", None)
    if kept is None:
        return layer.weight_global_scale.data.to(torch.float32)
    del layer.gemma_global_scales
    return torch.repeat_interleave(kept, torch.tensor(layer.logical_widths)).unsqueeze(-1)


def _keep_scales(scheme: Any) -> None:
    """Have ModelOpt's weight scheme put a fused layer's global scales aside before it reduces them to one."""
    reduce: Callable[..., None] = scheme.process
    if getattr(reduce, "keeps_scales", False):
        return

    def process(self: Any, layer: Any, role: Any) -> None:
        scales = getattr(layer, "weight_scale_2", None)
        if scales is not None and len(scales) == len(layer.logical_widths) > 1:
            layer.gemma_global_scales = scales.data.to(torch.float32).clone()
        reduce(self, layer, role)

    process.keeps_scales = True  # type: ignore[attr-defined]
    scheme.process = process


def register() -> None:
    """Entry point in vLLM's group `vllm.general_plugins`: on a CPU, NVFP4 layers get the kernel above.

    vLLM may call it several times in a process, and in each of its processes.
    """
    platform = vllm_names.look_up(vllm_names.PLATFORM)
    if platform is None:
        vllm_names.say_missing(vllm_names.PLATFORM, "NVFP4 on a CPU is left to vLLM")
        return
    if not platform.is_cpu():
        return
    base = vllm_names.look_up(vllm_names.KERNEL_BASE)
    config = vllm_names.look_up(vllm_names.KERNEL_CONFIG)
    if base is None or config is None:
        vllm_names.say_missing(vllm_names.KERNEL_BASE, "NVFP4 on a CPU is left to vLLM")
        return
    kernel = type(NAME, (_CpuKernel, base), {})

    def choose(use_a16: bool = False, **_: Any) -> Any:
        if not _said:
            vllm_names.logger.info("Using %s for NVFP4 GEMM", NAME)
            _said.append(NAME)
        return kernel(config())

    replaced = False
    for chooser in vllm_names.KERNEL_CHOOSERS:
        if vllm_names.look_up(chooser) is not None:
            vllm_names.replace(chooser, choose)
            replaced = True
    if not replaced:
        vllm_names.say_missing(vllm_names.KERNEL_CHOOSERS[0], "NVFP4 on a CPU is left to vLLM")
        return
    scheme = vllm_names.look_up(vllm_names.WEIGHT_SCHEME)
    if scheme is None or not hasattr(scheme, "process"):
        vllm_names.say_missing(vllm_names.WEIGHT_SCHEME, "fused projections share the largest global scale")
    else:
        _keep_scales(scheme)


_said: list[str] = []
