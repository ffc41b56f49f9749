"""The configurations of deploy/, each with nothing changed but names, ports and places, in a proxy that runs."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from tests.browser.nginx import nginx_binary
from tests.programs import program
from tests.stack import free_port
from tests.support import until

DEPLOY = Path(__file__).parents[2] / "deploy"
_NAME = "voice.example.org"
NGINX = """
{user}
daemon off;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  include {folder}/smartvoice.conf;
}}
"""


class Proxy:
    """A proxy at `address` (https) whose certificate is in `folder`."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.port = free_port()
        self.address = f"https://localhost:{self.port}"
        self.certificate = str(folder / "cert.pem")
        self._folder = folder
        self._kind = kind
        self._process: subprocess.Popen[bytes] | None = None
        _make_certificate(folder)

    def client(self, token: str, *, http2: bool = True) -> httpx.AsyncClient:
        """A client that trusts the proxy's certificate and is signed in."""
        trust = ssl.create_default_context(cafile=self.certificate)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(
            base_url=self.address, headers=headers, verify=trust, http2=http2, trust_env=False, timeout=30
        )

    async def start(self, ports: list[int]) -> None:
        command = self._nginx(ports) if self._kind == "nginx" else self._caddy(ports)
        log = (self._folder / "proxy.log").open("wb")
        places = {"XDG_DATA_HOME": str(self._folder), "XDG_CONFIG_HOME": str(self._folder)}
        environment = {**os.environ, **places}
        self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        log.close()
        async with self.client("nobody") as http:

            async def serves() -> bool:
                assert self._process is not None
                assert self._process.poll() is None, (self._folder / "proxy.log").read_text()
                with suppress(httpx.HTTPError):
                    return (await http.get("/healthz")).status_code == httpx.codes.OK
                return False

            await until(serves)

    def stop(self) -> None:
        if self._process is not None:
            # With nginx' workers, which their master's end alone does not end.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def _nginx(self, ports: list[int]) -> list[str]:
        changes = {f"127.0.0.1:{8001 + number}": f"127.0.0.1:{port}" for number, port in enumerate(ports)}
        changes |= {"listen 443": f"listen 127.0.0.1:{self.port}", "listen 80": f"listen 127.0.0.1:{free_port()}"}
        changes |= {f"/etc/ssl/{_NAME}": f"{self._folder}/cert", f"server_name {_NAME}": "server_name localhost"}
        # As root it would work as nobody, who may not use the folder.
        user = "user root;" if os.geteuid() == 0 else ""
        (self._folder / "smartvoice.conf").write_text(changed(DEPLOY / "nginx" / "smartvoice.conf", changes))
        file = self._folder / "nginx.conf"
        file.write_text(NGINX.format(user=user, folder=self._folder))
        return [nginx_binary(), "-p", str(self._folder), "-c", str(file), "-e", str(self._folder / "error.log")]

    def _caddy(self, ports: list[int]) -> list[str]:
        found = program("caddy")
        changes = {f"127.0.0.1:{8001 + number}": f"127.0.0.1:{port}" for number, port in enumerate(ports)}
        certificate = f"tls {self._folder}/cert.pem {self._folder}/cert.key"
        changes[f"\n{_NAME} {{"] = f"\n{self.address} {{\n\t{certificate}"
        changes["{\n\tservers {"] = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n\tservers {"
        file = self._folder / "Caddyfile"
        file.write_text(changed(DEPLOY / "caddy" / "Caddyfile", changes))
        return [found, "run", "--adapter", "caddyfile", "--config", str(file)]


def changed(file: Path, changes: dict[str, str]) -> str:
    text = file.read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def _make_certificate(folder: Path) -> None:
    """`cert.pem` and `cert.key` for localhost."""
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-out", "cert.pem", "-keyout", "cert.key"]
    subprocess.run([program("openssl"), *words.split(), *names], cwd=folder, check=True, capture_output=True)


@asynccontextmanager
async def placed_before(kind: str) -> AsyncIterator[Proxy]:
    """A proxy of that kind, not started yet: its address is known, so that web processes can be told."""
    with tempfile.TemporaryDirectory(prefix="sv-proxy-") as folder:
        proxy = Proxy(Path(folder), kind)
        try:
            yield proxy
        finally:
            proxy.stop()
