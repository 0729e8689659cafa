"""Settings say where each value came from, and a mistake names its place and the nearest key."""

from pathlib import Path

import pytest

from gemma_backend.config import profiles, settings
from gemma_backend.types.errors import UsageError


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMMA_TUI_CONFIG_DIR", str(tmp_path))
    return tmp_path / "config.toml"


def test_flag_beats_environment_beats_file_beats_default(config: Path) -> None:
    config.write_text('profile = "cpu"\n[chat]\nmax_tokens = 5\ntemperature = 0.5\n')
    found = settings.load(
        {"chat.max_tokens": 9}, {"GEMMA_TUI_CHAT_TEMPERATURE": "0.25", "GEMMA_TUI_CHAT_MAX_TOKENS": "7"}
    )
    assert (found.settings.chat.max_tokens, found.sources["chat.max_tokens"]) == (9, "flag")
    assert found.settings.chat.temperature == 0.25
    assert found.sources["chat.temperature"] == "environment GEMMA_TUI_CHAT_TEMPERATURE"
    assert (found.settings.profile, found.sources["profile"]) == ("cpu", f"file {config}")
    assert (found.settings.ui.mouse, found.sources["ui.mouse"]) == (True, "default")


def test_unknown_key_names_file_and_nearest(config: Path) -> None:
    config.write_text("[chat]\nmax_token = 5\n")
    with pytest.raises(
        UsageError, match=r"there is no setting 'chat\.max_token'; did you mean 'chat\.max_tokens'"
    ) as caught:
        settings.load(environ={})
    assert str(config) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[chat]\ntemperature = 'hot'\n", "chat.temperature"),
        ("[chat\n", "no valid TOML"),
        ("chat = 3\n", "chat"),
        ("format_version = 2\n", "format_version"),
    ],
)
def test_bad_file_is_one_sentence(config: Path, text: str, words: str) -> None:
    config.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        settings.load(environ={})
    assert "\n" not in str(caught.value)


def test_bad_variable_is_named(config: Path) -> None:
    with pytest.raises(UsageError, match="environment GEMMA_TUI_CHAT_SEED"):
        settings.load(environ={"GEMMA_TUI_CHAT_SEED": "many"})


def test_shipped_profiles_are_those_of_the_design(config: Path) -> None:
    names = {profile.name for profile in profiles.list_profiles()}
    assert {"workstation", "workstation-w4a4", "dgx-spark", "bf16", "cpu", "pocket", "small-gpu", "remote"} == names
    workstation = profiles.load_profile("workstation")
    assert workstation.served_name == "bg-digitalservices/Gemma-4-E2B-NVFP4A16"
    assert workstation.flags == {
        "quantization": "modelopt",
        "dtype": "auto",
        "kv-cache-dtype": "fp8",
        "gpu-memory-utilization": "auto",
        "max-model-len": "auto",
    }
    assert profiles.load_profile("pocket").served_name == "gemma-tui/pocket"


def test_own_profile_replaces_and_unknown_one_is_guessed(config: Path) -> None:
    config.write_text('[profiles.mine]\ncheckpoint = "/models/mine"\n[profiles.pocket]\ncheckpoint = "/models/p"\n')
    assert profiles.load_profile("mine").served_name == "/models/mine"
    assert profiles.load_profile("pocket").checkpoint == "/models/p"
    with pytest.raises(UsageError, match="did you mean 'workstation'"):
        profiles.load_profile("workstatoin")
    config.write_text('[profiles.mine]\ncheckpont = "/models/mine"\n')
    with pytest.raises(UsageError, match=r"\[profiles\.mine\].*did you mean 'checkpoint'"):
        profiles.list_profiles()
