"""Data folders as servers of several makers and versions write them, kept in `tests/cli/data_folders`.

    python -m tests.data_folders PROGRAM…     write the folders anew that these servers write

Each has a user's log, a job, an account and a key of each type, written by SmartVoice's own scripts where it has any.
Half of it was there when the server rewrote its file: there is both a base and what came after it. Beside the archives,
`contents.json` says how many keys each has, with a digest of all that is in them.

    commands   the base is commands, as the embedded server is told
    binary     the base is the server's binary form, its default
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.auth.accounts import Accounts
from app.cli import embedded_redis
from app.core.eventlog.log import Event, EventLog, JobWrite
from app.core.redis import keys
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.vocabulary import NARRATION
from tests.support import until

HOME = Path(__file__).parent / "cli" / "data_folders"
USER, PROJECT, JOB = "alice", "p1", "j1"
_FORMS = {"commands": "no", "binary": "yes"}
_LAST_MS = 4_102_444_800_000  # 2100: what is kept here is never over
_KEPT = ("appendonly.aof", "appendonlydir")


def kept() -> list[str]:
    """The names of the folders that are kept, such as `redis-6.2.14-binary`."""
    return sorted(path.name.removesuffix(".tar.gz") for path in HOME.glob("*.tar.gz"))


def unpack(name: str, folder: Path) -> dict[str, Any]:
    """Puts what a server wrote into `folder`; what is in it, as `contents` says."""
    with tarfile.open(HOME / f"{name}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return dict(json.loads((HOME / "contents.json").read_text())[name])


def of_log(guard: Literal["new", "report"], count: int = 1) -> JobWrite:
    """A write of so many events: of a new job, or a report of it."""
    return JobWrite(
        user=USER,
        project=PROJECT,
        job=JOB,
        queue=NARRATION,
        owner="c1",
        guard=guard,
        attempt="0",
        events=[Event("audio:progress", json.dumps({"n": number})) for number in range(count)],
        fields={"state": "active", "attempt": "0"},
        grace_seconds=60,
    )


@asynccontextmanager
async def serving(folder: Path, binary: str = "", **options: str) -> AsyncIterator[Redis]:
    """A client of the embedded server of `folder`, which ends in good order."""
    told = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    server = await asyncio.create_subprocess_exec(*embedded_redis.command(folder, binary=binary), *told)
    try:
        async with connect(f"unix://{embedded_redis.socket_of(folder)}") as client:
            await until(lambda: answers(client, server))
            yield client
    finally:
        with suppress(ProcessLookupError):
            server.terminate()
        await server.wait()


async def answers(client: Redis, server: asyncio.subprocess.Process) -> bool:
    assert server.returncode is None, "the server has ended"
    with suppress(RedisError, OSError):
        return bool(await client.ping())
    return False


async def contents(client: Redis) -> dict[str, Any]:
    """How many keys there are of each type, and a digest of all that is in them."""
    counts: Counter[str] = Counter()
    digest = hashlib.sha256()
    for key in sorted([key async for key in client.scan_iter(count=1000)]):
        kind = bytes(await client.type(key)).decode()  # type: ignore[arg-type] # no client of ours decodes
        counts[kind] += 1
        value = repr(await _value(client, kind, key))
        # Not when exactly: servers before 7 do not tell, and tell what is left in milliseconds.
        lives = await client.pttl(key) > 0
        digest.update(f"{key!r} {kind} {lives} {value}\n".encode())
    return {"keys": dict(sorted(counts.items())), "digest": digest.hexdigest()}


async def _value(client: Redis, kind: str, key: bytes) -> object:
    match kind:
        case "string":
            return await client.get(key)
        case "hash":
            return sorted((await client.hgetall(key)).items())
        case "set":
            return sorted(await client.smembers(key))
        case "zset":
            return await client.zrange(key, 0, -1, withscores=True)
        case "list":
            return await client.lrange(key, 0, -1)
        case "stream":
            told = await client.xinfo_stream(key)
            entries: list[Any] = list(await client.xrange(key) or [])
            return told["last-generated-id"], [(id, sorted(fields.items())) for id, fields in entries]
    raise AssertionError(kind)


async def _fill(client: Redis, half: int) -> None:
    """What SmartVoice writes by its scripts, and a key of each type, some short and some long (other encodings)."""
    log = EventLog(client, Settings(log_length=30))
    if half == 0:
        await Accounts(client, Settings()).add(USER, "a password of the tests")
        await client.hset(keys.project(USER, PROJECT), mapping={"id": PROJECT, "title": "第一章 🙂"})
        await log.append(of_log("new"))
    for count in (1, 1, 2, 60, 1, 3):
        await log.append(of_log("report", count))
    name = f"sv:test:{half}"
    long = bytes(range(256))
    await client.set(f"{name}:string", long)
    await client.set(f"{name}:number", 2**53)
    for size in (3, 140):
        await client.hset(f"{name}:hash:{size}", mapping={f"f{n}": long[n : n + n % 20] for n in range(size)})
        await client.sadd(f"{name}:set:{size}", *range(size))
        await client.sadd(f"{name}:words:{size}", *(f"w{n}" for n in range(size)))
        await client.zadd(f"{name}:zset:{size}", {f"m{n}": n / 3 for n in range(size)})
        await client.rpush(f"{name}:list:{size}", *(long[n : n + n % 20] for n in range(size)))
    await client.delete(f"{name}:set:3")
    await client.xtrim(keys.log(USER), maxlen=25, approximate=False)
    async for key in client.scan_iter():
        if await client.pttl(key) > 0:
            await client.pexpireat(key, _LAST_MS)


async def write(binary: str, form: str, folder: Path) -> dict[str, Any]:
    """Has the server of that program write a folder; what is in it then."""
    async with serving(folder, binary, aof_use_rdb_preamble=_FORMS[form]) as client:
        await _fill(client, 0)
        await client.bgrewriteaof()

        async def rewritten() -> bool:
            told = await client.info("persistence")
            return not told["aof_rewrite_in_progress"] and not told["aof_rewrite_scheduled"]

        await until(rewritten)
        await _fill(client, 1)
        return await contents(client)


async def main(programs: list[str]) -> None:
    listed = HOME / "contents.json"
    told = json.loads(listed.read_text()) if listed.exists() else {}
    HOME.mkdir(exist_ok=True)
    for program in programs:
        server = embedded_redis.server_of(program)
        for form in _FORMS:
            name = f"{str(server).lower().replace(' ', '-')}-{form}"
            with tempfile.TemporaryDirectory(prefix="sv-") as folder:
                told[name] = await write(program, form, Path(folder))
                with tarfile.open(HOME / f"{name}.tar.gz", "w:gz") as archive:
                    for part in _KEPT:
                        if (found := Path(folder, part)).exists():
                            archive.add(found, part)
            print(name, told[name]["keys"])
    listed.write_text(json.dumps(dict(sorted(told.items())), indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
