"""Hosts as requests name them (RFC 9110, 7.2): names, addresses, and what of them is this machine."""

from __future__ import annotations

import ipaddress
import re

from app.core.addresses import plain

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::[0-9]{1,5})?")
_LOOPBACK = "localhost"


def host_of(header: str) -> str | None:
    """The host that a `Host` header names, in small letters, without its port; None where it names none."""
    match = _HOST.fullmatch(header.strip().lower())
    return match[1].strip("[]").rstrip(".") if match else None


def is_address(host: str) -> bool:
    """Whether this is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether this names the machine itself; names below `localhost` always do (RFC 6761, 6.3)."""
    if host == _LOOPBACK or host.endswith(f".{_LOOPBACK}"):
        return True
    return is_address(host) and ipaddress.ip_address(plain(host)).is_loopback
