"""Addresses to listen on, and what others reach them by: IPv4, IPv6 and names."""

from __future__ import annotations

import ipaddress
import socket

_ANY = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}


def address_of(host: str, port: int) -> str:
    """The URL of a server at `host` and `port` as this machine reaches it: `http://[::1]:8000` for `::`."""
    reached = _ANY.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def bound(host: str, port: int) -> socket.socket:
    """A TCP socket at `host` and `port`; at `::` for clients of IPv4, too. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    [(*_, address), *_] = socket.getaddrinfo(host or None, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bindable = socket.socket(family, socket.SOCK_STREAM)
    try:
        bindable.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Else it is the system's to say whether `::` is for IPv6 alone.
            bindable.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        bindable.bind(address)
    except OSError:
        bindable.close()
        raise
    return bindable


def plain(host: str) -> str:
    """The IPv4 address in one that a socket for both kinds tells (`::ffff:192.0.2.1`); any other as it is."""
    if host.startswith("::ffff:"):
        mapped = ipaddress.IPv6Address(host).ipv4_mapped
        return str(mapped) if mapped else host
    return host
