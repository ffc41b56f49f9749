"""A real nginx between browser and server, set right or wrong in the ways that are found out there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from tests.programs import program
from tests.stack import free_port
from tests.support import until

RIGHT = "proxy_buffering off; proxy_read_timeout 1h;"
CUT_SECONDS = int(os.environ.get("SMARTVOICE_TEST_PROXY_SECONDS", "3"))
"""How long the proxy that cuts what is idle has patience; a longer one proves the same and takes longer."""
WRONG = {
    # Buffering alone does not hold a stream back, nginx sends what it has; compressing what it buffers does.
    "holds back": """
        proxy_buffering on; proxy_ignore_headers X-Accel-Buffering; proxy_buffer_size 512k; proxy_buffers 8 512k;
        proxy_busy_buffers_size 1m; gzip on; gzip_types text/event-stream; gzip_min_length 0; gzip_buffers 4 1m;
    """,
    "cuts": f"proxy_buffering off; proxy_read_timeout {CUT_SECONDS}s; proxy_send_timeout {CUT_SECONDS}s;",
    "refuses": "if ($http_accept = text/event-stream) { return 502; } proxy_buffering off;",
}
_CONFIGURATION = """
{user}
worker_processes 1;
worker_shutdown_timeout 1s;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      {manner}
    }}
  }}
}}
"""


def nginx_binary() -> str:
    """Where nginx is; without it the test is skipped, or in CI fails."""
    return program("nginx")


class Nginx:
    """A proxy in front of one address, whose manner can be changed while it runs."""

    def __init__(self, folder: Path, upstream: str) -> None:
        self._folder = folder
        self._upstream = upstream
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self, manner: str) -> None:
        self._write(manner)
        command = [
            nginx_binary(),
            "-p",
            str(self._folder),
            "-c",
            str(self._file),
            "-e",
            str(self._folder / "error.log"),
        ]
        self._process = subprocess.Popen(command, start_new_session=True)
        await until(self._serves)

    def change(self, manner: str) -> None:
        """As `nginx -s reload` does: new requests in the new manner; streams in the old one are cut after a second."""
        self._write(manner)
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            # A worker that was told to leave by a change may still be about.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    @property
    def _file(self) -> Path:
        return self._folder / "nginx.conf"

    def _write(self, manner: str) -> None:
        # As root it would work as nobody, who may not use the folder.
        user = "user root;" if os.geteuid() == 0 else ""
        settings = {"user": user, "folder": self._folder, "port": self._port, "upstream": self._upstream}
        self._file.write_text(_CONFIGURATION.format(manner=manner, **settings))

    async def _serves(self) -> bool:
        async with httpx.AsyncClient(trust_env=False) as http:
            with suppress(httpx.HTTPError):
                return (await http.get(f"{self.address}/healthz")).status_code == httpx.codes.OK
        return False


@asynccontextmanager
async def nginx_before(upstream: str, manner: str = RIGHT) -> AsyncIterator[Nginx]:
    folder = Path(tempfile.mkdtemp(prefix="sv-nginx-"))
    nginx = Nginx(folder, upstream)
    try:
        await nginx.start(manner)
        yield nginx
    finally:
        nginx.stop()
        shutil.rmtree(folder)
