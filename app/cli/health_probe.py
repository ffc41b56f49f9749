"""Whether the web side answers: asked by the process that watches over it, without a library of 5 MB."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit


async def is_ok(address: str, path: str, seconds: float) -> bool:
    """Whether a GET for `path` at `address` (`http://host:port`) is answered with 200 within so many seconds."""
    parts = urlsplit(address)
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
                return (await reader.readline()).split()[1:2] == [b"200"]
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
