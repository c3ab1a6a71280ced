"""Which addresses of servers an operator may name. Asks no network and looks no name up."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit


def check_address(url: str, unencrypted: bool = False) -> str:
    """`url` without its last slash. Raises `ValueError` for one that is no plain http(s) address, and for http to the
    open network unless the operator says `unencrypted`: the picture and a key would be readable on the way."""
    parts = split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no address of a server; write it like http://127.0.0.1:11434/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("an address holds no user, key or query; name the key's environment variable instead")
    if parts.scheme == "http" and not (unencrypted or is_private(parts.hostname)):
        raise ValueError(f"{parts.hostname} is not on a private network; use https, or say that it may be unencrypted")
    return url.rstrip("/")


def split(url: str) -> SplitResult:
    """As `urlsplit`, with the port looked at too. Raises `ValueError` without quoting the address."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("the address of a server is malformed; write it like http://127.0.0.1:11434/v1") from None
    return parts


def find_host(url: str) -> str:
    """Host and, where it is written, port, as the page names the server."""
    return urlsplit(url).netloc.rpartition("@")[2]


def is_loopback(url: str) -> bool:
    """Whether what is sent there stays on the machine that runs the page."""
    name = urlsplit(url).hostname or ""
    address = read_number(name)
    return name == "localhost" or (address is not None and address.is_loopback)


def is_private(name: str) -> bool:
    """A number of a private network, or a name that only such a network can know (without a dot, like a container)."""
    address = read_number(name)
    return "." not in name if address is None else address.is_private


def read_number(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
