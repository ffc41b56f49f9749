"""A real Redis Cluster of three primaries on this machine, if wanted each with a replica that takes its place."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from app.cli import embedded_redis
from tests import redis_servers
from tests.programs import missing
from tests.stack import free_port

_SLOTS = 16384
_PRIMARIES = 3
_SHARE = -(-_SLOTS // _PRIMARIES)
_MOVING_SECONDS = 0.1  # between two keys, so that others find some here and some there


def server_for_clusters() -> str:
    """A server that knows sharded pub/sub (Redis 7 or newer, Valkey); the test is skipped, or in CI fails, without."""
    server = redis_servers.binary()
    if embedded_redis.server_of(server).version < (7, 0):
        missing(f"{server} is too old for the cluster tests, which need Redis 7 or newer, or Valkey")
    return server


class Cluster:
    """Its primaries, each by its port, and their replicas in the same order."""

    def __init__(self, primaries: list[int], replicas: list[int]) -> None:
        self.primaries = primaries
        self.replicas = replicas
        self._commands: dict[int, list[str]] = {}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self.primaries)

    def start(self, server: str, folder: Path) -> None:
        """Starts all; done when all slots are covered, and each replica has all that its primary has."""
        for port in self.primaries + self.replicas:
            self._commands[port] = _command(server, folder, port)
            self.restart(port)
        with ExitStack() as stack:
            nodes = [stack.enter_context(Redis(port=port)) for port in self.primaries + self.replicas]
            _join(nodes, self.primaries + self.replicas)

    def kill_primary_of(self, key: str) -> int:
        """Ends the server that holds the key, as `kill -9` does; its port."""
        with Redis(port=self.primaries[0]) as node:
            slot = int(_cluster(node, "KEYSLOT", key))
        port = self.primaries[slot // _SHARE]
        self.kill(port)
        return port

    def move(self, key: str) -> int:
        """Moves the slot of the key, key by key, as a reshard does while all are at work; the port
        of the server that holds it now."""
        with self.moving(key) as there:
            return there

    @contextmanager
    def moving(self, key: str) -> Iterator[int]:
        """Moves `key` to another server, whose port it is; once the context ends, all else of its slot follows."""
        with ExitStack() as stack:
            nodes = [stack.enter_context(Redis(port=port)) for port in self.primaries]
            slot = int(_cluster(nodes[0], "KEYSLOT", key))
            at = slot // _SHARE
            source, target = nodes[at], nodes[(at + 1) % _PRIMARIES]
            there = self.primaries[(at + 1) % _PRIMARIES]
            taker = _cluster(target, "MYID").decode()
            _cluster(target, "SETSLOT", slot, "IMPORTING", _cluster(source, "MYID").decode())
            _cluster(source, "SETSLOT", slot, "MIGRATING", taker)
            _migrate(source, there, [key])
            yield there
            while keys := source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1):
                _migrate(source, there, keys)
                time.sleep(_MOVING_SECONDS)
            for node in (target, source, *nodes):
                _cluster(node, "SETSLOT", slot, "NODE", taker)

    def kill(self, port: int) -> None:
        self._processes[port].kill()
        self._processes[port].wait(10)

    def restart(self, port: int) -> None:
        """Starts a server with what it had."""
        self._processes[port] = subprocess.Popen(self._commands[port], stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        for port in self._processes:
            self.kill(port)


def _migrate(source: Redis, there: int, keys: Sequence[str | bytes]) -> None:
    source.execute_command("MIGRATE", "127.0.0.1", there, "", 0, 5000, "KEYS", *keys)  # type: ignore[no-untyped-call]


@contextmanager
def running_cluster(*, replicated: bool = False) -> Iterator[Cluster]:
    """Three primaries that cover all slots, if so wanted each with a replica."""
    server = server_for_clusters()
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    cluster = Cluster([free_port() for _ in range(_PRIMARIES)], [free_port() for _ in range(replicated * _PRIMARIES)])
    try:
        cluster.start(server, folder)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


def _command(server: str, folder: Path, port: int) -> list[str]:
    home = folder / str(port)
    home.mkdir()
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "cluster-enabled": "yes",
        "cluster-port": str(free_port()),
        "cluster-node-timeout": "2000",
        # However long it had not heard of its primary, a replica takes its place.
        "cluster-replica-validity-factor": "0",
        "repl-diskless-sync-delay": "0",
        "dir": str(home),
        "save": "",
        "appendonly": "yes",
    }
    return [server, *(word for name, value in options.items() for word in (f"--{name}", value))]


def _join(nodes: list[Redis], ports: list[int]) -> None:
    for index, node in enumerate(nodes):
        _until(lambda node=node: node.ping())  # type: ignore[misc] # a default argument binds it now
        if index < _PRIMARIES:
            _cluster(node, "ADDSLOTSRANGE", index * _SHARE, min(_SLOTS, (index + 1) * _SHARE) - 1)
        _cluster(node, "SET-CONFIG-EPOCH", index + 1)
    for node, port in zip(nodes[1:], ports[1:], strict=True):
        bus = str(node.config_get("cluster-port")["cluster-port"])
        _cluster(nodes[0], "MEET", "127.0.0.1", port, bus)
    for node in nodes:
        _until(lambda node=node: _complete(node, len(nodes)))  # type: ignore[misc] # as above
    for primary, replica in zip(nodes, nodes[_PRIMARIES:], strict=False):
        _cluster(replica, "REPLICATE", _cluster(primary, "MYID").decode())
        _until(lambda replica=replica: replica.info("replication").get("master_link_status") == "up")  # type: ignore[misc] # as above
    for node in nodes:
        _until(lambda node=node: _replicas_known(node) == len(nodes) - _PRIMARIES)  # type: ignore[misc] # as above


def _complete(node: Redis, count: int) -> bool:
    info = _cluster(node, "INFO")
    return b"cluster_state:ok" in info and b"cluster_known_nodes:%d\r" % count in info


def _replicas_known(node: Redis) -> int:
    return _cluster(node, "NODES").count(b"slave")


def _cluster(node: Redis, *words: str | int) -> bytes:
    told = node.execute_command("CLUSTER", *words)  # type: ignore[no-untyped-call] # redis-py's is untyped
    return told if isinstance(told, bytes) else str(told).encode()


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            if condition():
                return
        except (RedisError, OSError):
            pass
        assert time.monotonic() < deadline, "the cluster did not form"
        time.sleep(0.02)
