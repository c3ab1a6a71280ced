"""Which servers an operator may name: https anywhere, http only where nobody listens on the way."""

import pytest

from patchwork.address import check_address, find_host, is_loopback

GOOD = [
    "https://api.example.com/v1",
    "http://127.0.0.1:11434/v1",
    "http://localhost:8000/v1",
    "http://[::1]:8080/v1",
    "http://192.168.1.20:8000/v1",
    "http://ollama:11434/v1",
]


@pytest.mark.parametrize("url", GOOD)
def test_these_may_be_asked(url):
    assert check_address(url + "/") == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://api.example.com/v1", "not on a private network"),
        ("http://8.8.8.8/v1", "not on a private network"),
        ("ftp://127.0.0.1/v1", "no address of a server"),
        ("127.0.0.1:11434/v1", "no address of a server"),
        ("https://", "no address of a server"),
        ("https://me:secret@api.example.com/v1", "no user, key or query"),
        ("https://api.example.com/v1?key=secret", "no user, key or query"),
        ("https://api.example.com:port/v1", "malformed"),
        ("https://[::1/v1", "malformed"),
    ],
)
def test_these_may_not(url, words):
    with pytest.raises(ValueError, match=words) as raised:
        check_address(url)
    assert "secret" not in str(raised.value)


def test_an_operator_may_allow_what_can_be_read_on_the_way():
    assert check_address("http://8.8.8.8/v1", unencrypted=True) == "http://8.8.8.8/v1"


def test_what_stays_on_this_machine():
    assert [is_loopback(url) for url in GOOD] == [False, True, True, True, False, False]
    assert find_host("http://127.0.0.1:11434/v1") == "127.0.0.1:11434"
