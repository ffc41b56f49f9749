"""A Redis Cluster: `redis+cluster://[user:password@]host:port,host:port`; any of the servers tells of all the others.

What redis-py raises where no server can be reached, or none holds a slot just now, is no RedisError: here it is one, so
that whoever is ready for a Redis that is away is ready for a cluster that is. redis-py also tries again without a
pause, and a failover takes seconds: a client that is to be patient has a patience of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any, cast

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode, ClusterPipeline
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.exceptions import ClusterError, ConnectionError, RedisClusterException, TimeoutError

from app.core.redis.sentinel import parted, place

_PORT = 6379
# ClusterError, also ClusterDownError's base: every server sent the command on to another. So it is while the keys of a
# script are on their way from one server to the next.
_PASSES = (ConnectionError, TimeoutError, ClusterError)


def is_cluster(url: str) -> bool:
    """Whether `url` names a Redis Cluster."""
    return url.partition(":")[0] in {"redis+cluster", "rediss+cluster"}


class Cluster(RedisCluster):
    """A client of a cluster, which raises nothing but RedisError and OSError where the cluster is away."""

    def __init__(self, *args: Any, patience: Retry, **options: Any) -> None:
        super().__init__(*args, **options)
        self._patience = patience

    async def initialize(self, *args: Any, **options: Any) -> Cluster:
        with _away():
            await super().initialize(*args, **options)
        return self

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        async def once() -> Any:
            with _away():
                return await super(Cluster, self).execute_command(*args, **options)

        return await self._patience.call_with_retry(once, _again)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        return _Pipeline(self, transaction)  # type: ignore[abstract] # so is redis-py's own, by what a base declares

    def get_node_from_key(self, key: str, replica: bool = False) -> ClusterNode | None:
        with _away():
            return super().get_node_from_key(key, replica)

    async def look_about(self) -> None:
        """Asks anew which server holds what."""
        with _away():
            await self.nodes_manager.initialize()

    def holds(self, name: str) -> bool:
        """Whether the server of that name holds any slots, as far as is known."""
        return any(node.name == name for node in self.get_primaries())


class _Pipeline(ClusterPipeline):
    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> list[Any]:
        with _away():
            return list(await super().execute(raise_on_error, allow_redirections))


def client(url: str, *, retry: Retry, patience: Retry, **options: Any) -> Cluster:
    """A client of the cluster that `url` names by one or several of its servers.

    `retry` says how often redis-py looks for the right server, at once; `patience` how often, and after which pauses,
    all of that is done again. Raises ValueError where it names none.
    """
    scheme, credential, hosts, rest = parted(url)
    if not hosts:
        raise ValueError("write redis+cluster://host:port,host:port")
    first, *others = hosts
    nodes = [ClusterNode(*place(host, _PORT)) for host in others]
    one = f"{scheme.removesuffix('+cluster')}://{credential}{'@' if credential else ''}{first}{rest}"
    patience.update_supported_errors(_PASSES)
    return cast(Cluster, Cluster.from_url(one, startup_nodes=nodes, retry=retry, patience=patience, **options))


async def _again(error: Exception) -> None:
    """Nothing is to be done between two tries."""


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except RedisClusterException as error:
        raise ConnectionError(str(error)) from error
    except (AttributeError, RuntimeError) as error:
        # Getting to know a cluster anew closes connections, also one that another command is just opening. redis-py
        # then writes to a transport that is gone, or that uvloop has closed, and takes what that raises for no failure
        # of a connection.
        if not _is_of_a_connection(error):
            raise
        raise ConnectionError(f"the connection was closed: {error}") from error


def _is_of_a_connection(error: Exception) -> bool:
    """Whether it was raised within redis-py's own code of a connection."""
    return any(frame.f_globals.get("__name__") == Connection.__module__ for frame, _ in walk_tb(error.__traceback__))
