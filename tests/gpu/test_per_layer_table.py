"""The per-layer embedding table in host memory against the same table on the GPU, on a full-size checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gemma_backend.config.profiles import PER_LAYER_TABLE
from gemma_backend.runtime.plugin import write_plugin_folder

from .conftest import HERE, Measured, python

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(1800)]

# 262,144 rows of 35 x 256 BF16 numbers.
TABLE_GIB = 262_144 * 35 * 256 * 2 / 2**30
TOLERANCE = 0.05


@pytest.fixture(scope="module")
def probed(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `table_probe.py` found in one engine."""
    kept = os.environ.get("GEMMA_TUI_TEST_OUT")
    out = Path(kept or tmp_path_factory.mktemp("table")) / "table.json"
    if not out.exists():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GEMMA_TUI_STATE_DIR", str(tmp_path_factory.mktemp("state")))
            path = f"{write_plugin_folder()}:{os.environ.get('PYTHONPATH', '')}"
        environment = {**os.environ, "PYTHONPATH": path, PER_LAYER_TABLE: "host"}
        subprocess.run([python(), str(HERE / "table_probe.py"), checkpoint, str(out)], env=environment, check=True)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_the_rows_on_the_gpu_are_those_of_the_file(probed: dict[str, Any]) -> None:
    assert probed["differ"] == 0
    assert probed["rows"] == 4096
    assert probed["pinned"]
    assert probed["device"].startswith("cuda")


def test_log_probabilities_are_the_same_wherever_the_table_is(probed: dict[str, Any]) -> None:
    # What one engine with an unmoved table says twice may differ already, where kernels add in another order.
    assert probed["logprobs_gpu"]["tokens"] == 4 * 199
    assert probed["logprobs_gpu"]["most"] <= max(TOLERANCE, 1.5 * probed["logprobs_again"]["most"])


def test_speed_is_told_for_both_places(probed: dict[str, Any]) -> None:
    for streams, rates in probed["speeds"].items():
        print(f"{streams}: table in host memory {rates['host'] / rates['gpu']:.1%} of the speed of one on the GPU")
        assert all(rate > 0 for rate in rates.values())


def test_the_table_leaves_the_gpu_and_is_held_once(measured: Measured) -> None:
    on_gpu, on_host = measured("table-on-gpu"), measured("table-on-host")
    saved = float(on_gpu["said"]["weights_gib"]) - float(on_host["said"]["weights_gib"])
    assert saved == pytest.approx(TABLE_GIB, rel=0.01)
    more = on_host["peaks"]["host_anonymous_mib"] - on_gpu["peaks"]["host_anonymous_mib"]
    assert more < 1.15 * TABLE_GIB * 1024


@pytest.mark.parametrize(("name", "mib"), [("small-gpu", 6144), ("small-gpu-text", 4096)])
def test_the_whole_context_is_served_within_a_small_card(measured: Measured, name: str, mib: int) -> None:
    found = measured(name)
    assert found["whole_context_tokens"] == 131_072
    assert found["peaks"]["gpu_mib"] < mib


def test_without_towers_less_is_loaded(measured: Measured) -> None:
    whole, text = (float(measured(name)["said"]["weights_gib"]) for name in ("small-gpu", "small-gpu-text"))
    # 168.5 M parameters of vision and 307.2 M of audio in BF16.
    assert whole - text == pytest.approx((168.5e6 + 307.2e6) * 2 / 2**30, rel=0.1)


@pytest.mark.parametrize("name", ["table-on-gpu", "workstation", "small-gpu", "small-gpu-text"])
def test_memory_is_planned_within_three_per_cent(measured: Measured, name: str) -> None:
    found = measured(name)
    planned = found["planned"]
    assert float(found["said"]["weights_gib"]) * 1024 == pytest.approx(planned["weights_mib"], rel=0.03)
    assert int(found["said"]["kv_tokens"].replace(",", "")) == pytest.approx(planned["kv_tokens"], rel=0.03)
    assert found["gpu_mib_ready"] == pytest.approx(planned["start_mib"], rel=0.03)
    assert found["peaks"]["gpu_mib"] == pytest.approx(planned["peak_mib"], rel=0.03)
