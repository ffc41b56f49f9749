"""SmartVoice and its peers: every server that delivers events."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench import install
from bench.load.msgpack import packed
from bench.load.producers import Producer, command, http_writer, redis_writer
from bench.load.readers import Opening, sse_request, upgrade_request
from bench.payload import Template, fields, text
from bench.process import Process
from bench.server import HEARTBEAT_SECONDS, PEERS, SECRET, Server, node_process, user
from bench.smartvoice import SmartVoice


class SocketIo(Server):
    """Socket.IO 4 with its Redis adapter."""

    name = "socketio"
    title = "Socket.IO 4 + Redis adapter"

    @classmethod
    def missing(cls) -> str | None:
        return None if install.node() else "Node.js with npm, and npm's registry within reach"

    @classmethod
    def process_of(cls, folder: Path, redis_port: int, **options: object) -> Process:
        return node_process(folder, "socketio", redis_port, str(HEARTBEAT_SECONDS * 1000))

    def opening(self, number: int, after: str | None = None) -> Opening:
        port = self.process.port
        return Opening(port, upgrade_request(port), b'40{"sid"', self.token(number))

    async def producer(self, users: int, *, fast: bool) -> Producer:
        templates = [Template(self._published(f"user:{user(number)}")) for number in range(users)]
        return await redis_writer(self.redis.port, templates)

    def _published(self, room: str) -> bytes:
        """What Socket.IO's emitter for processes without a server publishes."""
        packet = {"type": 2, "data": ["audio:progress", fields()], "nsp": "/"}
        message = packed(["emitter", packet, {"rooms": [room], "except": [], "flags": {}}])
        return command(b"PUBLISH", f"socket.io#/#{room}#".encode(), message)


class Tutorial(Server):
    """sse-starlette as tutorials use it."""

    name = "tutorial"
    title = "sse-starlette as in tutorials"
    files_per_stream = 2
    _module: ClassVar[str] = "bench.peers.tutorial:app"

    @classmethod
    def process_of(cls, folder: Path, redis_port: int, **options: object) -> Process:
        options_of_uvicorn = ["--log-level", "warning", "--no-access-log", "--backlog", "4096"]
        command = [sys.executable, "-m", "uvicorn", cls._module, "--port", "{port}", *options_of_uvicorn]
        environment = {
            "BENCH_SECRET": SECRET,
            "BENCH_REDIS_PORT": str(redis_port),
            "BENCH_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
        }
        return Process(command, folder, cls.name, environment=environment)

    def opening(self, number: int, after: str | None = None) -> Opening:
        port = self.process.port
        return Opening(port, sse_request(port, f"/api/events?{user(number)}", self.token(number)), b"event: ready")

    async def producer(self, users: int, *, fast: bool) -> Producer:
        channels = [f"{self.name}:{user(number)}".encode() for number in range(users)]
        data = text().encode()
        return await redis_writer(
            self.redis.port, [Template(command(b"PUBLISH", channel, data)) for channel in channels]
        )


class Bare(Tutorial):
    """uvicorn and nothing else."""

    name = "bare"
    title = "uvicorn alone"
    files_per_stream = 1
    _module = "bench.peers.bare:app"


class Nchan(Server):
    """nginx with nchan."""

    name = "nchan"
    title = "nginx + nchan"
    resumes = False

    @classmethod
    def missing(cls) -> str | None:
        return None if install.nchan() else "nginx of Debian (apt-get install nginx-light)"

    @classmethod
    def process_of(cls, folder: Path, redis_port: int, **options: object) -> Process:
        nginx, module = install.nginx(), install.nchan()
        assert nginx
        assert module
        process = Process([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"], folder, "nginx")
        written = (PEERS / "nchan.conf").read_text()
        for word, value in {"FOLDER": folder, "MODULE": module, "PORT": process.port}.items():
            written = written.replace(word, str(value))
        (folder / "nginx.conf").write_text(written)
        return process

    def opening(self, number: int, after: str | None = None) -> Opening:
        port = self.process.port
        return Opening(port, sse_request(port, f"/events?user={user(number)}", None), b"\r\n\r\n")

    async def producer(self, users: int, *, fast: bool) -> Producer:
        return await http_writer(self.process.port, [self._post(user(number)) for number in range(users)])

    def _post(self, name: str) -> Template:
        body = text().encode()
        lines = [f"POST /publish?user={name} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
        lines += ["Content-Type: application/json", "X-EventSource-Event: audio:progress"]
        return Template("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


ALL: Sequence[type[Server]] = (SmartVoice, SocketIo, Nchan, Tutorial, Bare)
