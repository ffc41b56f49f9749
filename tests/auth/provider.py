"""A certified OpenID provider on this machine: npm's `oidc-provider`, and the person who signs in there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx

from tests.npm import node_modules
from tests.support import until

CLIENT_ID = "smartvoice"
CLIENT_SECRET = "what the provider and we alone know of"

_PROGRAM = """
import Provider from 'oidc-provider';
const [, , port, site] = process.argv;
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: '%s',
    client_secret: '%s',
    redirect_uris: [`${site}/auth/oidc/callback`],
    post_logout_redirect_uris: [`${site}/signin`],
  }],
  pkce: { required: () => true },
  claims: { openid: ['sub'], profile: ['name'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => (id === 'nameless' ? { sub: id } : { sub: id, name: `${id} of the provider` }),
  }),
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  cookies: { keys: ['a key of the tests'] },
});
provider.listen(Number(port), '127.0.0.1', () => console.log('listening'));
"""


class ProviderProcess:
    """The provider, which can be started, stopped and frozen."""

    def __init__(self, port: int, site: str, folder: Path) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._arguments = [str(port), site]
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        modules = node_modules("oidc-provider", "^8")  # the last that runs on the Node.js of Debian 12
        script = self._folder / "provider.mjs"
        script.write_text(_PROGRAM % (CLIENT_ID, CLIENT_SECRET))
        if not (self._folder / "node_modules").exists():
            (self._folder / "node_modules").symlink_to(modules)
        log = self._folder / "provider.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["node", str(script), *self._arguments],
                cwd=self._folder,
                env={"PATH": os.environ["PATH"]},
                stdout=output,
                stderr=output,
            )
        await until(lambda: b"listening" in log.read_bytes() or self._ended(), 60)
        assert not self._ended(), log.read_text()

    def freeze(self) -> None:
        """It takes connections and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None


@asynccontextmanager
async def providing(port: int, site: str, folder: Path) -> AsyncIterator[ProviderProcess]:
    provider = ProviderProcess(port, site, folder)
    try:
        await provider.start()
        yield provider
    finally:
        provider.stop()


class Person:
    """Somebody with a browser: follows redirects, fills in the provider's forms."""

    def __init__(self, http: httpx.AsyncClient, name: str) -> None:
        self.http = http
        self._name = name

    async def go(self, address: str, until_at: str) -> httpx.Response:
        """Opens a page and goes on until an address begins with `until_at`; what would be opened there, unopened."""
        answer = await self.http.get(address)
        for _ in range(20):
            target = urljoin(str(answer.url), answer.headers.get("location", ""))
            if answer.has_redirect_location and target.startswith(until_at):
                return answer
            answer = await (self.http.get(target) if answer.has_redirect_location else self._fill_in(answer))
        raise AssertionError(f"never came to {until_at}: {answer.url}")

    async def signs_in(self, site: str) -> None:
        back = await self.go("/auth/oidc/login?next=/projects/any", f"{site}/projects/any")
        assert back.status_code == httpx.codes.SEE_OTHER, back.text

    async def _fill_in(self, page: httpx.Response) -> httpx.Response:
        assert page.status_code == httpx.codes.OK, page.text
        [action] = re.findall(r'<form[^>]* action="([^"]+)"', page.text)[:1]
        fields = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="(\w+)"[^>]*value="([^"]*)"', page.text))
        if 'name="login"' in page.text:
            fields |= {"login": self._name, "password": "anything"}
        if 'name="logout"' in page.text:
            fields["logout"] = "yes"
        return await self.http.post(urljoin(str(page.url), action), data=fields)
