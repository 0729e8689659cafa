"""Presets: shipped ones, a person's own, and files that are none."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.config.presets import (
    Controls,
    delete_preset,
    list_presets,
    load_preset,
    save_preset,
    shown_value,
)
from gemma_backend.types import BadInput, UsageError


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMMA_TUI_CONFIG_DIR", str(tmp_path))
    return tmp_path


def test_shipped_presets_can_all_be_used_and_say_what_they_are_for() -> None:
    presets, faults = list_presets()
    assert faults == []
    assert {"default", "greedy", "few-shot"} <= {preset.name for preset in presets}
    assert all(preset.shipped and preset.title for preset in presets)
    assert load_preset("default").controls == Controls()


def test_a_preset_is_saved_found_and_deleted(own_folder: Path) -> None:
    controls = Controls(temperature=0.3, stop=("\n", 'a "b" \\ \x7f\u2028'), bos=False, seed=5)
    path = save_preset("mine", controls, "My own")
    assert path == own_folder / "presets" / "mine.toml"
    found = load_preset("mine")
    assert (found.controls, found.title, found.shipped) == (controls, "My own", False)
    assert [file.name for file in path.parent.iterdir()] == ["mine.toml"]
    assert delete_preset("mine")
    assert not delete_preset("mine")
    with pytest.raises(UsageError, match="there is no preset 'mine'"):
        load_preset("mine")


def test_ones_own_replaces_a_shipped_one_until_it_is_deleted() -> None:
    save_preset("greedy", Controls(temperature=0.1))
    assert load_preset("greedy").controls.temperature == 0.1
    delete_preset("greedy")
    assert load_preset("greedy").controls.temperature == 0


def test_a_bad_file_is_told_and_hides_no_other(own_folder: Path) -> None:
    folder = own_folder / "presets"
    folder.mkdir()
    (folder / "broken.toml").write_text("temperature = ")
    (folder / "typo.toml").write_text("temperatur = 1.0")
    presets, faults = list_presets()
    assert len(faults) == 2
    assert "no valid TOML" in faults[0]
    assert "did you mean 'temperature'?" in faults[1]
    assert any(preset.name == "default" for preset in presets)


@pytest.mark.parametrize("name", ["", "../x", "Mine", "a b", "x" * 41])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="small letters"):
        save_preset(name, Controls())
    assert not delete_preset(name)


def test_a_control_of_an_impossible_value_is_told_in_a_sentence() -> None:
    with pytest.raises(BadInput, match=r"^top-p: input should be less than or equal to 1\.$"):
        Controls().changed("top_p", 3)
    assert Controls().changed("top_p", "0.5").top_p == 0.5
    assert shown_value(("\n",)) == '"\\n"'


@given(
    st.builds(
        Controls,
        temperature=st.none() | st.floats(0, 10),
        top_p=st.none() | st.floats(0.001, 1),
        seed=st.none() | st.integers(0, 2**63 - 1),
        stop=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), max_size=4).map(tuple),
        echo=st.booleans(),
        alternatives=st.integers(2, 16),
    )
)
def test_whatever_is_saved_comes_back(controls: Controls) -> None:
    save_preset("any", controls)
    assert load_preset("any").controls == controls
