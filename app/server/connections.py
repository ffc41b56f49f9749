"""Limits of a process' connections that are not streams: how many, from where, and how long each may take.

A connection that a stream took over is counted for its address only; the stream has timeouts of its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, Self

from app.core.settings import Settings

_SWEEP_SECONDS = 1.0
_LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits as set; times in seconds."""

    head_seconds: float = 20
    body_seconds: float = 20
    min_body_rate: int = 500
    idle_seconds: float = 60
    send_timeout_seconds: float = 20
    max_connections: int = 20_000
    max_connections_per_address: int = 0
    max_streams_per_address: int = 0
    trusted: tuple[str, ...] = ()
    """Addresses and networks that many clients share, such as proxies; they have no limit of their own."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What is set. A server that listens on loopback is reached by this machine alone, which is then not limited:
        who comes from there is either the operator or a proxy."""
        here = _LOOPBACK if settings.host in {"127.0.0.1", "::1", "localhost"} else ()
        names = cls.__dataclass_fields__.keys() - {"trusted"}
        return cls(**{name: getattr(settings, name) for name in names}, trusted=(*settings.proxies, *here))


class Connection(Protocol):
    """A connection that requests arrive on."""

    def check_times(self, now: float) -> None:
        """End it if it takes too long; `now` is the loop's time."""


class Connections:
    """The connections of this process."""

    def __init__(self, limits: ConnectionLimits, loop: asyncio.AbstractEventLoop) -> None:
        self.limits = limits
        self._loop = loop
        self._open: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._streams_by_address: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        networks = [ipaddress.ip_network(one, strict=False) for one in limits.trusted]
        self._key = lru_cache(4096)(lambda host: _counted_as(host, networks))

    def address(self, host: str | None) -> str:
        """Return the key that a client's connections are counted under; empty if they are not counted."""
        return self._key(host) if host else ""

    def has_room(self, address: str) -> bool:
        most = self.limits.max_connections_per_address
        return not (address and most and self._by_address[address] >= most)

    def is_full(self) -> bool:
        return len(self._open) >= self.limits.max_connections

    def has_stream_room(self, address: str) -> bool:
        most = self.limits.max_streams_per_address
        return not (address and most and self._streams_by_address[address] >= most)

    def add(self, connection: Connection, address: str) -> None:
        self._open.add(connection)
        if address:
            self._by_address[address] += 1
        if self._timer is None:
            self._timer = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def remove(self, connection: Connection, address: str) -> None:
        """Stop counting a connection. Idempotent."""
        if connection in self._open:
            self._open.discard(connection)
            if address:
                _take_one(self._by_address, address)

    def streams_of(self, address: str, connections: set[Any]) -> set[Any] | StreamSet:
        """Return the set for a stream to add itself to, so that it is counted for its address and among
        `connections`."""
        return StreamSet(connections, self._streams_by_address, address) if address else connections

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in tuple(self._open):
            connection.check_times(now)
        self._timer = self._loop.call_later(_SWEEP_SECONDS, self._sweep) if self._open else None


class StreamSet:
    """The server's set of connections, for one stream that is counted with it."""

    __slots__ = ("_address", "_connections", "_counts")

    def __init__(self, connections: set[Any], counts: Counter[str], address: str) -> None:
        self._connections = connections
        self._counts = counts
        self._address = address

    def add(self, stream: object) -> None:
        self._connections.add(stream)
        self._counts[self._address] += 1

    def discard(self, stream: object) -> None:
        if stream in self._connections:
            self._connections.discard(stream)
            _take_one(self._counts, self._address)


def _take_one(counts: Counter[str], address: str) -> None:
    counts[address] -= 1
    if not counts[address]:
        del counts[address]


def _counted_as(host: str, trusted: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> str:
    """Return the address, or for IPv6 its /64 network, which belongs to one customer; empty if it is trusted."""
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    if any(address in network for network in trusted):
        return ""
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
