"""Redis watched over by Sentinels: `redis+sentinel://[user:password@]host:port,host:port/service[?db=0]`.

Each new connection asks the Sentinels who the primary is. `rediss+sentinel://` speaks TLS with the primary;
`sentinel_password=` in the query is what the Sentinels themselves want.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qs, unquote

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

_PORT = 26379
_ASK_SECONDS = 2


class Watched(NamedTuple):
    """Who watches over which service, and how its primary is spoken to."""

    sentinels: list[tuple[str, int]]
    service: str
    asking: dict[str, Any]
    options: dict[str, Any]


def is_sentinel(url: str) -> bool:
    """Whether `url` names Sentinels."""
    return url.partition(":")[0] in {"redis+sentinel", "rediss+sentinel"}


def watched(url: str) -> Watched:
    """What a URL of this form says. Raises ValueError where it names no service."""
    scheme, credential, hosts, rest = parted(url)
    user, _, password = credential.partition(":")
    path, _, query_string = rest.partition("?")
    service = path.strip("/")
    if not service or not hosts:
        raise ValueError("write redis+sentinel://host:port,host:port/service")
    query = {name: values[-1] for name, values in parse_qs(query_string).items()}
    asking: dict[str, Any] = {"socket_timeout": _ASK_SECONDS, "socket_connect_timeout": _ASK_SECONDS}
    if "sentinel_password" in query:
        asking["password"] = query["sentinel_password"]
    options: dict[str, Any] = {"db": int(query.get("db", 0)), "ssl": scheme.startswith("rediss")}
    options |= {name: unquote(value) for name, value in (("username", user), ("password", password)) if value}
    return Watched([place(host, _PORT) for host in hosts], service, asking, options)


def client(url: str, max_connections: int, wait: float, **options: Any) -> Redis:
    """A client of the primary, with as many connections; who comes when all are at work waits for one."""
    found = watched(url)
    sentinel = Sentinel(found.sentinels, sentinel_kwargs=found.asking)  # type: ignore[no-untyped-call] # redis-py's is untyped
    spoken = {**options, **found.options, "max_connections": max_connections, "timeout": wait}
    pool = _Pool(found.service, sentinel, **spoken)  # type: ignore[no-untyped-call] # redis-py's is untyped
    made = cast(_Client, _Client.from_pool(pool))
    made.asked = sentinel.sentinels
    return made


class _Client(Redis):
    """Closes with itself the connections to the Sentinels, `asked`, which redis-py leaves open."""

    asked: Sequence[Redis] = ()

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        for one in self.asked:
            await one.aclose()


class _Pool(SentinelConnectionPool, BlockingConnectionPool):
    """Knows the primary by its Sentinels, and lets wait who finds no connection free."""


class Parts(NamedTuple):
    """A URL: scheme, `user:password` as it is written, hosts with their ports, and all that follows."""

    scheme: str
    credential: str
    hosts: list[str]
    rest: str


def parted(url: str) -> Parts:
    """A URL of several servers. (`urlsplit` takes no address of IPv6 behind another host.)"""
    scheme, _, more = url.partition("://")
    end = next((at for at, char in enumerate(more) if char in "/?#"), len(more))
    credential, _, hosts = more[:end].rpartition("@")
    return Parts(scheme, credential, [host for host in hosts.split(",") if host], more[end:])


def place(host: str, default: int) -> tuple[str, int]:
    """The name and the port that `host` says, as `name`, `name:port`, `[address]` or `[address]:port`."""
    name, _, port = host.rpartition(":") if ":" in host.rpartition("]")[2] else (host, "", "")
    return name.strip("[]"), int(port or default)
