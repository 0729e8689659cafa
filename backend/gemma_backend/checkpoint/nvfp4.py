"""NVFP4 in numpy: pairs of E2M1 numbers x an FP8 E4M3 scale for 16 of them x an FP32 scale for the tensor.

Written from the format's description (OCP Microscaling Formats 1.0, tables 1 and 5; two codes a byte, the first in the
low half), so that what ModelOpt writes and what the engine reads are checked by code that is neither's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

GROUP = 16
# Magnitudes of the eight codes; bit 3 is the sign.
E2M1 = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], np.float32)
E2M1_MAX = 6.0

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def e4m3_table() -> Floats:
    """Value of each of the 256 codes of FP8 E4M3 (no infinities; 0x7F and 0xFF are NaN)."""
    codes = np.arange(256)
    exponent = (codes >> 3) & 0xF
    mantissa = codes & 0x7
    size = np.where(exponent == 0, mantissa / 8 * 2.0**-6, (1 + mantissa / 8) * 2.0 ** (exponent - 7.0))
    size[(codes & 0x7F) == 0x7F] = np.nan
    return np.where(codes & 0x80, -size, size).astype(np.float32)


_E4M3 = e4m3_table()
_E2M1_SIGNED = np.concatenate([E2M1, -E2M1])


def unpack(packed: Bytes) -> npt.NDArray[np.uint8]:
    """Codes of shape (..., 2n) from bytes of shape (..., n), the low half of each byte first."""
    codes = np.empty((*packed.shape[:-1], packed.shape[-1] * 2), np.uint8)
    codes[..., 0::2] = packed & 0x0F
    codes[..., 1::2] = packed >> 4
    return codes


def pack(codes: npt.NDArray[np.uint8]) -> Bytes:
    """The reverse of `unpack`; the last dimension must be even."""
    return (codes[..., 0::2] | (codes[..., 1::2] << 4)).astype(np.uint8)


def scales(scale: Bytes) -> Floats:
    """FP8 E4M3 scales as FP32, of the same shape."""
    return _E4M3[scale]


def decode(packed: Bytes, scale: Bytes, global_scale: float | Floats) -> Floats:
    """FP32 weights (N, K) from bytes (N, K/2), FP8 scales (N, K/16) and one FP32 scale.

    E2M1 x E4M3 is exact in FP32, so the product with the global scale is the only rounding. ValueError if the shapes
    do not belong together.
    """
    numbers = _E2M1_SIGNED[unpack(packed)]
    if scale.shape != (*numbers.shape[:-1], numbers.shape[-1] // GROUP) or numbers.shape[-1] % GROUP:
        raise ValueError(f"packed {packed.shape} and scales {scale.shape} do not belong together")
    grouped = numbers.reshape(*scale.shape, GROUP) * scales(scale)[..., None]
    made: Floats = grouped.reshape(numbers.shape) * np.float32(global_scale)
    return made


def to_bf16(values: Floats) -> npt.NDArray[np.uint16]:
    """Bits of `values` rounded to BF16, half to even, as every framework does it; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    made: npt.NDArray[np.uint16] = np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)
    return made


def from_bf16(bits: npt.NDArray[np.uint16]) -> Floats:
    """FP32 values of BF16 bits, exact."""
    widened: npt.NDArray[Any] = bits.astype(np.uint32) << 16
    return widened.view(np.float32)


def half_step(magnitude: Floats) -> Floats:
    """Half the distance from each E2M1 magnitude to its farther neighbour: 0.25 to 1.5, 0.5 at 2 and 3, 1 above.

    A number that was rounded to the nearest code lies no farther from it, unless it was clipped.
    """
    return np.where(magnitude < 2, 0.25, np.where(magnitude < 4, 0.5, 1.0)).astype(np.float32)
