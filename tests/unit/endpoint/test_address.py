"""What people type as an address, and where a key comes from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gemma_backend.endpoint import address
from gemma_backend.endpoint.address import find_key, is_local, is_loopback, key_warning, parse_url
from gemma_backend.types import BadInput, Endpoint, UsageError


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("http://host:8000", "http://host:8000"),
        ("http://host:8000/", "http://host:8000"),
        ("http://host:8000/v1", "http://host:8000"),
        ("http://host:8000/v1/", "http://host:8000"),
        (" http://host:8000/v1/chat/completions ", "http://host:8000"),
        ("http://host:8000/v1/models", "http://host:8000"),
        ("https://host/some/prefix/v1", "https://host/some/prefix"),
        ("HTTPS://host/v1", "https://host"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
        ("http://bücher.example/v1", "http://bücher.example"),
    ],
)
def test_an_address_is_taken_with_or_without_v1(text: str, base: str) -> None:
    endpoint = parse_url(text)
    assert endpoint.base_url == base
    assert endpoint.v1 == base + "/v1"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "no address"),
        ("localhost:8000", "did you mean --url http://localhost:8000"),
        ("host", "did you mean --url http://host"),
        ("ftp://host/v1", "http:// or https://"),
        ("http://", "names no host"),
        ("http://host:99999", "malformed"),
        ("http://host:port/v1", "malformed"),
        ("http://ho st/v1", "without spaces"),
        ("http://host/v1\x1b[31m", "without spaces"),
        ("http://user:secret@host/v1", "--api-key-file"),
        ("http://host/v1?key=secret", "leave out"),
        ("unix:relative.sock", "full path"),
    ],
)
def test_a_wrong_address_gets_a_sentence_with_what_to_do(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(text)
    assert hint in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("text", ["http://user:hunter2@host/v1", "http://user:hunter2@host:port", "http://:hunter2@/"])
def test_a_password_in_an_address_is_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["unix:/run/vllm.sock", "unix:///run/vllm.sock"])
def test_a_socket_is_an_address(text: str) -> None:
    endpoint = parse_url(text, api_key="k")
    assert endpoint.socket == "/run/vllm.sock"
    assert endpoint.api_key == "k"
    assert is_local(endpoint)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "a.localhost"])
def test_loopback_is_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1.evil.example", "localhost.example", "10.0.0.1", "", "::2"])
def test_what_only_looks_like_loopback_is_not(host: str) -> None:
    assert not is_loopback(host)


def test_a_key_over_plain_http_warns_only_beyond_this_machine() -> None:
    assert "unencrypted" in (key_warning(parse_url("http://box:8000", api_key="k")) or "")
    assert key_warning(parse_url("http://box:8000")) is None
    assert key_warning(parse_url("http://127.0.0.1:8000", api_key="k")) is None
    assert key_warning(parse_url("https://box:8000", api_key="k")) is None


def test_a_key_shows_in_no_repr() -> None:
    assert "sesame" not in repr(Endpoint("http://host", api_key="sesame"))


def test_the_file_comes_before_the_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMMA_TUI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert find_key() is None
    monkeypatch.setenv("OPENAI_API_KEY", "openai")
    assert find_key() == "openai"
    monkeypatch.setenv("GEMMA_TUI_API_KEY", "ours")
    assert find_key() == "ours"
    file = tmp_path / "key"
    file.write_text("\nfrom-file\r\n# a note\n")
    assert find_key(str(file)) == "from-file"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"two words", b"\x00\xff\xfe", "schlüssel".encode()])
def test_a_file_that_holds_no_key_gets_a_sentence(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(BadInput, match="key"):
        find_key(str(file))


def test_a_key_can_come_out_of_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    os.write(writer, b"sesame\n")
    assert find_key(str(pipe)) == "sesame"
    os.close(writer)
    # Nobody writes into it: that ends, too.
    monkeypatch.setattr(address, "_PIPE_SECONDS", 0.05)
    with pytest.raises(BadInput, match="nothing comes"):
        find_key(str(pipe))
    with pytest.raises(BadInput, match="is a pipe"):
        parse_url("https://host", ca_file=str(pipe))


def test_missing_files_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no key file"):
        find_key(str(tmp_path / "none"))
    with pytest.raises(BadInput, match="cannot be read"):
        find_key(str(tmp_path))
    with pytest.raises(BadInput, match="certificate file"):
        parse_url("https://host", ca_file=str(tmp_path / "none"))
