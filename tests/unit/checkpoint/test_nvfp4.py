"""The NVFP4 decoder against the format's definition, number by number."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gemma_backend.checkpoint import nvfp4

MAGNITUDES = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]


def e4m3(code: int) -> float:
    """FP8 E4M3 by its definition: sign, four bits of exponent with bias 7, three of mantissa."""
    sign = -1.0 if code & 0x80 else 1.0
    exponent, mantissa = (code >> 3) & 15, code & 7
    if exponent == 15 and mantissa == 7:
        return math.nan
    if exponent == 0:
        return sign * mantissa / 8 * 2**-6
    return sign * (1 + mantissa / 8) * 2 ** (exponent - 7)


@pytest.mark.parametrize("code", range(256))
def test_every_fp8_code(code: int) -> None:
    found = float(nvfp4.scales(np.array([code], np.uint8))[0])
    assert found == e4m3(code) or (math.isnan(found) and math.isnan(e4m3(code)))


@pytest.mark.parametrize("code", range(16))
def test_every_e2m1_code_at_each_place(code: int) -> None:
    wanted = -MAGNITUDES[code - 8] if code & 8 else MAGNITUDES[code]
    for place in range(16):
        codes = np.zeros((1, 16), np.uint8)
        codes[0, place] = code
        decoded = nvfp4.decode(nvfp4.pack(codes), np.array([[0x38]], np.uint8), 1.0)[0]
        assert decoded[place] == wanted
        assert not np.delete(decoded, place).any()


def test_the_first_number_is_in_the_low_half() -> None:
    decoded = nvfp4.decode(np.array([[0x21] + [0] * 7], np.uint8), np.array([[0x38]], np.uint8), 1.0)
    assert decoded[0, :2].tolist() == [0.5, 1.0]


@pytest.mark.parametrize(("code", "value"), [(0x01, 2.0**-9), (0x07, 7 * 2.0**-9), (0x08, 2.0**-6), (0x7E, 448.0)])
def test_extreme_scales(code: int, value: float) -> None:
    decoded = nvfp4.decode(np.full((1, 8), 0x77, np.uint8), np.array([[code]], np.uint8), 0.5)
    assert decoded.tolist() == [[6.0 * value * 0.5] * 16]


def test_a_zero_scale_makes_zeros() -> None:
    assert not nvfp4.decode(np.full((2, 8), 0x5F, np.uint8), np.zeros((2, 1), np.uint8), 3.0).any()


shapes = st.tuples(st.integers(1, 7), st.integers(1, 5))


@given(st.data(), shapes, st.floats(2**-20, 4.0, width=32))
def test_decoding_is_the_product_of_three(data: st.DataObject, shape: tuple[int, int], top: float) -> None:
    rows, groups = shape
    codes = data.draw(arrays.arrays(np.uint8, (rows, groups * 16), elements=st.integers(0, 15)))
    scale = data.draw(arrays.arrays(np.uint8, (rows, groups), elements=st.integers(0, 0x7E)))
    decoded = nvfp4.decode(nvfp4.pack(codes), scale, top)
    assert decoded.shape == (rows, groups * 16)
    for row in range(rows):
        for column in range(0, groups * 16, 5):
            code = int(codes[row, column])
            size = MAGNITUDES[code & 7] * e4m3(int(scale[row, column // 16]))
            assert decoded[row, column] == np.float32(math.copysign(size, -1 if code & 8 else 1)) * np.float32(top)


@given(arrays.arrays(np.uint8, shapes.map(lambda shape: (shape[0], shape[1] * 2)), elements=st.integers(0, 15)))
def test_packing_is_undone(codes: np.ndarray) -> None:
    assert np.array_equal(nvfp4.unpack(nvfp4.pack(codes)), codes)


@pytest.mark.parametrize("scale_shape", [(2, 2), (1, 1), (2, 0)])
def test_shapes_that_do_not_belong_together_are_refused(scale_shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="belong"):
        nvfp4.decode(np.zeros((2, 8), np.uint8), np.zeros(scale_shape, np.uint8), 1.0)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_bf16_is_the_nearest_with_ties_to_even(value: float) -> None:
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    low, rest = bits >> 16, bits & 0xFFFF
    wanted = low + 1 if rest > 0x8000 or (rest == 0x8000 and low & 1) else low
    assert int(nvfp4.to_bf16(np.array([value], np.float32))[0]) == wanted


@given(arrays.arrays(np.uint16, 9))
def test_bf16_survives_the_way_there_and_back(bits: np.ndarray) -> None:
    values = nvfp4.from_bf16(bits)
    kept = ~np.isnan(values)
    assert np.array_equal(nvfp4.to_bf16(values)[kept], bits[kept])
