"""Log-mel frames on any device, equal to those of transformers' Gemma 4 feature extractor."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor
from transformers import Gemma4AudioFeatureExtractor
from transformers.audio_utils import mel_filter_bank

# Throats of other lengths: the mel scale stretched by these, about what lies between a child and a tall man.
STRETCHES = tuple(0.84 + 0.04 * step for step in range(9))
# How strong the random tilt and bumps of a recording's spectrum are, in nepers, and how many bands may be missing.
COLOURING, MISSING = 0.35, 7


class Mel(torch.nn.Module):
    """The extractor's arithmetic on tensors."""

    window: Tensor
    filters: Tensor
    stretched: Tensor

    def __init__(self, extractor: Gemma4AudioFeatureExtractor) -> None:
        super().__init__()
        self.length, self.hop = extractor.frame_length, extractor.hop_length
        self.size, self.floor = extractor.fft_length, float(extractor.mel_floor)
        self.register_buffer("window", torch.from_numpy(extractor.window), persistent=False)
        self.register_buffer("filters", torch.from_numpy(extractor.mel_filters).float(), persistent=False)
        bins, bands = extractor.mel_filters.shape
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            banks = [
                mel_filter_bank(bins, bands, 0.0, 8000.0 * min(1.0, by), extractor.sampling_rate, None, "htk")
                if by <= 1
                else mel_filter_bank(bins, bands, 0.0, 8000.0, round(extractor.sampling_rate / by), None, "htk")
                for by in STRETCHES
            ]
        self.register_buffer(
            "stretched", torch.stack([torch.from_numpy(bank).float() for bank in banks]), persistent=False
        )

    def _varied(self, spectrum: Tensor, generator: torch.Generator) -> Tensor:
        """Mel strengths as if another throat had spoken into another microphone."""
        count, bands = len(spectrum), self.filters.shape[1]
        device = spectrum.device
        chosen = torch.randint(0, len(STRETCHES), (count,), device=device, generator=generator)
        mel = torch.bmm(spectrum, self.stretched[chosen])
        places = (torch.arange(bands, device=device) + 0.5) / bands
        waves = torch.stack([torch.cos(math.pi * order * places) for order in (1, 2, 3, 5)])
        bumps = torch.randn((count, 4), device=device, generator=generator) * COLOURING
        mel = mel * (bumps @ waves).exp()[:, None]
        first = torch.randint(0, bands, (count, 1), device=device, generator=generator)
        width = torch.randint(-MISSING, MISSING, (count, 1), device=device, generator=generator)
        index = torch.arange(bands, device=device)[None]
        return mel * ~((index >= first) & (index < first + width))[:, None]

    def forward(
        self, samples: Tensor, lengths: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Samples (N, S), `lengths` of them real, to frames (N, F, bands) and a mask (N, F); varied by `generator`."""
        padded = torch.nn.functional.pad(samples, (self.length // 2, 0))
        frames = padded.unfold(-1, self.length + 1, self.hop)[..., :-1]
        spectrum = torch.fft.rfft(frames * self.window, n=self.size).abs()
        strengths = spectrum @ self.filters if generator is None else self._varied(spectrum, generator)
        mel = torch.log(strengths + self.floor)
        ends = torch.arange(mel.shape[1], device=samples.device) * self.hop + self.length - self.length // 2
        mask = ends[None] < lengths[:, None]
        return mel * mask[..., None], mask
