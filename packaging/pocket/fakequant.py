"""NVFP4 rounding inside training, so that the weights learn to live with it: E2M1, groups of 16, FP8 scales.

The forward pass sees rounded weights (and, when asked, rounded activations); the backward pass sees straight through.
As in ModelOpt's max calibration, a group's scale is its largest magnitude over 6, kept in FP8 under one global scale,
and layers that vLLM fuses (q/k/v, gate/up) share the global scale.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Gemma4ForConditionalGeneration

GROUP = 16
E2M1_MAX = 6.0
FP8_MAX = 448.0
FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


def rounded(values: Tensor, largest: Tensor) -> Tensor:
    """`values` as NVFP4 would hold them; `largest` is the magnitude that sets the global scale."""
    grouped = values.float().unflatten(-1, (-1, GROUP))
    overall = largest.float().clamp(min=1e-12) / (E2M1_MAX * FP8_MAX)
    scale = grouped.abs().amax(-1, keepdim=True) / (E2M1_MAX * overall)
    scale = scale.clamp(2**-9, FP8_MAX).to(torch.float8_e4m3fn).float() * overall
    size = (grouped / scale).abs()
    step = torch.where(size < 2, 0.5, torch.where(size < 4, 1.0, 2.0))
    size = (torch.round(size / step) * step).clamp(max=E2M1_MAX)
    return (torch.sign(grouped) * size * scale).flatten(-2).to(values.dtype)


class QuantLinear(nn.Linear):
    """A linear layer that computes with rounded weights, and with rounded inputs where `activations` is 1."""

    largest: Tensor
    activations: Tensor

    def forward(self, given: Tensor) -> Tensor:
        """Straight-through: values of the rounded tensors, gradients of the whole ones."""
        weight = self.weight + (rounded(self.weight, self.largest) - self.weight).detach()
        coarse = rounded(given.detach(), given.detach().abs().amax())
        given = given + self.activations * (coarse - given.detach())
        return F.linear(given, weight)


def prepare(model: Gemma4ForConditionalGeneration) -> list[list[QuantLinear]]:
    """Make every text linear layer round; returns them in the groups that share a global scale."""
    text = model.model.language_model
    activations = torch.zeros((), device=next(text.parameters()).device)
    groups: dict[str, list[QuantLinear]] = {}
    for name, module in text.named_modules():
        if type(module) is not nn.Linear:
            continue
        module.__class__ = QuantLinear
        module.register_buffer("largest", module.weight.detach().abs().amax(), persistent=False)
        module.register_buffer("activations", activations, persistent=False)
        parent, _, leaf = name.rpartition(".")
        fused = next((str(number) for number, names in enumerate(FUSED) if leaf in names), leaf)
        groups.setdefault(f"{parent}.{fused}", []).append(module)
    return list(groups.values())


@torch.no_grad()
def refresh(groups: list[list[QuantLinear]], *, activations: bool) -> None:
    """Set the global scales from the present weights, and whether inputs are rounded too."""
    for group in groups:
        largest = torch.stack([module.weight.abs().amax() for module in group]).amax()
        for module in group:
            module.largest.copy_(largest)
    groups[0][0].activations.fill_(1.0 if activations else 0.0)


@torch.no_grad()
def bake(groups: list[list[QuantLinear]]) -> None:
    """Replace the weights by their rounded values, to see what remains after quantisation."""
    refresh(groups, activations=False)
    for group in groups:
        for module in group:
            module.weight.copy_(rounded(module.weight, module.largest))
