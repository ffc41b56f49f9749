"""A voice service on loopback, with OpenAI's interface, that behaves as well or as badly as it is told.

    async with TtsServer() as server:
        server.misbehave(busy(retry_after=1), reset)  # the next two answers; then it is good again
        ...
        assert server.calls[text] == 3

It is asyncio and bytes alone, since no HTTP server would let itself be made to do what `tests.tts_ways` has.
`python -m tests.tts_server [--port N] [WAY …]` runs it by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Self

from tests.tts_ways import WAYS, Call, Line, Way, good


class TtsServer:
    """The service; an async context manager.

    `calls` counts requests for speech by text, `requests` counts them all, `heard` are they themselves. `voices` is
    what `GET /v1/audio/voices` answers, None for 404. With an `api_key`, who sends another is refused and told of it.
    """

    def __init__(self, *, voices: Any = None, api_key: str = "", port: int = 0) -> None:
        self.voices = voices
        self.calls: Counter[str] = Counter()
        self.heard: list[Call] = []
        self.asked_for_voices = 0
        self.held = 0
        self.connections = 0
        self.open_connections = 0
        self.most_at_once = 0
        self.url = ""
        self._api_key = api_key
        self._port = port
        self._ways: deque[Way] = deque()
        self._always: Way | None = None
        self._now = 0
        self._held_texts: Callable[[str], bool] = lambda text: False
        self._released = asyncio.Event()
        self._released.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def requests(self) -> int:
        """How many requests for speech came."""
        return len(self.heard)

    def misbehave(self, *ways: Way | str) -> None:
        """The next answers, one after the other; some have names (`tests.tts_ways.WAYS`)."""
        self._ways.extend(WAYS[way] if isinstance(way, str) else way for way in ways)

    def misbehave_always(self, way: Way | None) -> None:
        """Every answer after those; None to be good again."""
        self._always = way

    def hold(self, texts: Callable[[str], bool] = lambda text: True) -> None:
        """Lets requests hang, of those `texts` that it is true for, until `release`."""
        self._held_texts = texts
        self._released.clear()

    def release(self) -> None:
        """Answers all that hang, and what comes."""
        self._released.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", self._port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        self.open_connections += 1
        try:
            while not writer.is_closing() and (call := await _read(reader)):
                await self._serve(call, Line(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away: that is its right
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self.open_connections -= 1
            writer.close()

    async def _serve(self, call: Call, line: Line) -> None:
        if self._api_key and call.headers.get("authorization") != f"Bearer {self._api_key}":
            told = {"error": {"message": f"Incorrect API key: {call.headers.get('authorization')}"}}
            await line.answer(401, "application/json", json.dumps(told).encode())
        elif call.method == "GET":
            await self._list(call, line)
        else:
            await self._speak(call, line)

    async def _list(self, call: Call, line: Line) -> None:
        path = call.path.partition("?")[0]
        found: Any = None
        if path == "/v1/models":
            found = {"object": "list", "data": [{"id": "tts-1", "object": "model"}]}
        elif path == "/v1/audio/voices":
            self.asked_for_voices += 1
            found = self.voices
        body = json.dumps(found if found is not None else {"detail": "Not Found"}).encode()
        await line.answer(404 if found is None else 200, "application/json", body)

    async def _speak(self, call: Call, line: Line) -> None:
        self.calls[call.text] += 1
        self.heard.append(call)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        way = self._ways.popleft() if self._ways else self._always or good
        try:
            if await self._let_through(call.text, line):
                await way(call, line)
        finally:
            self._now -= 1

    async def _let_through(self, text: str, line: Line) -> bool:
        """Waits while requests are held; False where the client does not wait as long."""
        if self._released.is_set() or not self._held_texts(text):
            return True
        self.held += 1
        released, gone = asyncio.create_task(self._released.wait()), asyncio.create_task(line.gone())
        try:
            done, _ = await asyncio.wait({released, gone}, return_when=asyncio.FIRST_COMPLETED)
            return gone not in done
        finally:
            self.held -= 1
            released.cancel()
            gone.cancel()
            await asyncio.gather(released, gone, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Call | None:
    """The next request of a connection; None at its end."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Call(method, path, headers, json.loads(body or b"{}"))


async def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("ways", nargs="*", choices=[[], *WAYS], metavar="WAY", help=", ".join(WAYS))
    asked = parser.parse_args()
    async with TtsServer(port=asked.port) as server:
        server.misbehave(*[WAYS[name] for name in asked.ways])
        print(server.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
