"""Servers that tests start on ports and in folders of their own: Debian's RabbitMQ, and Redis with its Sentinels."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pika
from pika.exceptions import AMQPError
from redis import Redis
from redis.exceptions import RedisError

from tests import redis_servers
from tests.programs import missing, program
from tests.stack import free_port

_START_SECONDS = 90
_SERVICE = "voices"


class RabbitMq:
    """A RabbitMQ that can be killed and started again on what it kept."""

    def __init__(self, folder: Path) -> None:
        program("rabbitmq-server")
        # Debian's own script insists on its user; the one that it calls does not.
        real = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        if not real.exists():
            missing("no RabbitMQ as Debian lays it out")
        self._binary = str(real)
        self._folder = folder
        self.port = free_port()
        # Relaxed: the daemon may then be told to end while it believes that a node lives.
        self._names = {"ERL_EPMD_PORT": str(free_port()), "ERL_EPMD_RELAXED_COMMAND_CHECK": "1"}
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}?heartbeat=10&blocked_connection_timeout=10"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        node = f"sv{self.port}@localhost"
        variables = {
            "HOME": str(self._folder),
            "RABBITMQ_NODENAME": node,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            **self._names,
            # Erlang's schedulers otherwise spin while they wait, on cores that others want.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +S 1:1",
        }
        log = (self._folder / "out.log").open("ab")
        self._process = subprocess.Popen(
            [self._binary], env={**os.environ, **variables}, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        _wait(self._answers, lambda: (self._folder / "out.log").read_text())

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)

    def close(self) -> None:
        """Leaves nothing of it behind, nor of the daemon that Erlang starts beside it."""
        self.kill()
        subprocess.run(["epmd", "-kill"], env={**os.environ, **self._names}, capture_output=True, timeout=10)

    def _answers(self) -> bool:
        with suppress(AMQPError, OSError):
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
            return True
        return False


@contextmanager
def running_rabbitmq() -> Iterator[RabbitMq]:
    with tempfile.TemporaryDirectory(prefix="sv-rabbit-", ignore_cleanup_errors=True) as folder:
        server = RabbitMq(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.close()


class Watched:
    """Two Redis, one a copy of the other, and three Sentinels that make the copy the primary when the other is gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.redis = [free_port(), free_port()]
        self.sentinels = [free_port() for _ in range(3)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        places = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        self.url = f"redis+sentinel://{places}/{_SERVICE}"

    def start(self) -> None:
        first, second = self.redis
        self._start(first, "")
        self._start(second, f"replicaof 127.0.0.1 {first}\n")
        _wait(lambda: _info(second, "master_link_status") == "up")
        for port in self.sentinels:
            file = self._folder / f"{port}.conf"
            file.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {self._folder}\nlogfile {port}.log\n"
                f"sentinel monitor {_SERVICE} 127.0.0.1 {first} 2\n"
                f"sentinel down-after-milliseconds {_SERVICE} 1000\nsentinel failover-timeout {_SERVICE} 5000\n"
            )
            self._run(port, [redis_servers.binary(), str(file), "--sentinel"])
        for port in self.sentinels:
            _wait(lambda port=port: _knows_all(port))  # type: ignore[misc] # a default argument binds it now

    def kill_primary(self) -> None:
        """Ends the first as `kill -9` does."""
        self._processes[self.redis[0]].kill()
        self._processes[self.redis[0]].wait(10)

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait(10)

    def _start(self, port: int, more: str) -> None:
        home = self._folder / f"data-{port}"
        home.mkdir()
        file = self._folder / f"{port}.conf"
        file.write_text(
            f'port {port}\nbind 127.0.0.1\ndir {home}\nappendonly yes\nsave ""\nrepl-diskless-sync no\n{more}'
        )
        self._run(port, [redis_servers.binary(), str(file)])
        _wait(lambda: _info(port, "role"))

    def _run(self, port: int, command: list[str]) -> None:
        self._processes[port] = subprocess.Popen(command, stdout=subprocess.DEVNULL)


@contextmanager
def running_watched() -> Iterator[Watched]:
    folder = Path(tempfile.mkdtemp(prefix="sv-watched-"))
    servers = Watched(folder)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(folder)


def _info(port: int, name: str) -> str:
    with suppress(RedisError, OSError), Redis(port=port) as client:
        return str(client.info("replication").get(name, ""))
    return ""


def _knows_all(port: int) -> bool:
    with suppress(RedisError, OSError), Redis(port=port, decode_responses=True) as client:
        state = client.sentinel_master(_SERVICE)
        return bool(int(state["num-other-sentinels"]) == 2 and int(state["num-slaves"]) == 1)
    return False


def _wait(condition: Callable[[], object], told: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)
