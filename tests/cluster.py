"""A real Redis Cluster of three primaries on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.stack import free_port

_SLOTS = 16384
_PRIMARIES = 3


def server_for_clusters() -> str:
    """A Redis server that knows sharded pub/sub (7 or newer); the test is skipped, or in CI fails, without one."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        if int(version.partition("v=")[2].partition(".")[0]) >= 7:
            return found
    missing = "no Redis 7 or newer for the cluster tests; install it (Debian: apt-get install redis-server)"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@contextmanager
def running_cluster() -> Iterator[list[int]]:
    """The ports of the three primaries, once all slots are covered."""
    server = server_for_clusters()
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    ports = [free_port() for _ in range(_PRIMARIES)]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        for port in ports:
            process = subprocess.Popen(_command(server, folder, port), stdout=subprocess.DEVNULL)
            stack.callback(process.wait, 10)
            stack.callback(process.terminate)
        _join([stack.enter_context(Redis(port=port)) for port in ports], ports)
        yield ports


def _command(server: str, folder: Path, port: int) -> list[str]:
    home = folder / str(port)
    home.mkdir()
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "cluster-enabled": "yes",
        "cluster-port": str(free_port()),
        "dir": str(home),
        "save": "",
    }
    return [server, *(word for name, value in options.items() for word in (f"--{name}", value))]


def _join(nodes: list[Redis], ports: list[int]) -> None:
    share = -(-_SLOTS // len(nodes))
    for index, node in enumerate(nodes):
        _until(lambda node=node: node.ping())  # type: ignore[misc] # a default argument binds it now
        last = min(_SLOTS, (index + 1) * share) - 1
        _cluster(node, "ADDSLOTSRANGE", index * share, last)
        _cluster(node, "SET-CONFIG-EPOCH", index + 1)
    for node, port in zip(nodes[1:], ports[1:], strict=True):
        bus = str(node.config_get("cluster-port")["cluster-port"])
        _cluster(nodes[0], "MEET", "127.0.0.1", port, bus)
    for node in nodes:
        _until(lambda node=node: _complete(node))  # type: ignore[misc] # a default argument binds it now


def _complete(node: Redis) -> bool:
    info = _cluster(node, "INFO")
    return b"cluster_state:ok" in info and b"cluster_known_nodes:%d\r" % _PRIMARIES in info


def _cluster(node: Redis, *words: str | int) -> bytes:
    return bytes(node.execute_command("CLUSTER", *words))  # type: ignore[no-untyped-call] # redis-py's is untyped


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
