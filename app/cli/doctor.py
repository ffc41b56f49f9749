"""`smartvoice doctor`: looks at everything SmartVoice needs, and says what to do about what is wrong."""

from __future__ import annotations

import asyncio
import json
import platform
from collections.abc import Awaitable, Callable
from importlib.util import find_spec

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console

from app.cli import child_command
from app.cli.embedded_redis import NoRedis, server_binary, server_of
from app.cli.instance_lock import address_of
from app.cli.redis_data_folder import RedisDataFolder
from app.core import bucket, voice_engines
from app.core.errors import Problem
from app.core.redis import keys
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.storage import s3
from app.core.storage.object_store import Storage

_OLDEST_REDIS = (6, 2)
Check = Callable[[Settings], Awaitable[str]]


class Wrong(Exception):
    """Something is wrong; the message says what, and what to do."""


async def examine(settings: Settings) -> bool:
    """Prints a line for each check; whether all is well."""
    console = Console()
    checks: list[tuple[str, Check]] = [
        ("system", _system),
        ("Redis", _redis),
        ("storage", _storage),
        ("key", _key),
        ("voice", _voice),
        ("sandbox", _sandbox),
        ("worker", _worker),
        ("web", _web),
    ]
    well = True
    for name, check in checks:
        try:
            console.print(f"[green]✓[/] {name}: {await check(settings)}", highlight=False)
        except Wrong as wrong:
            well = False
            console.print(f"[red]✗[/] {name}: {wrong}", highlight=False)
    return well


async def _system(settings: Settings) -> str:
    """What everybody asks first where something does not work; what is not supported ended the command before."""
    libc = " ".join(platform.libc_ver())
    return f"Python {platform.python_version()} on {platform.system()} {platform.machine()} {libc}".strip()


async def _redis(settings: Settings) -> str:
    redis = connect(settings.redis)
    try:
        return await _redis_facts(redis)
    except (RedisError, OSError) as error:
        raise Wrong(f"nothing answers at {settings.redis} ({error}). {_redis_advice(settings)}") from error
    finally:
        await redis.aclose()


async def _redis_facts(redis: Redis) -> str:
    told = await redis.info()
    # Valkey has its own version beside the one of Redis that it grew from.
    maker = "Valkey" if "valkey_version" in told else "Redis"
    version = str(told[f"{maker.lower()}_version"])
    if maker == "Redis" and tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_REDIS:
        raise Wrong(f"version {version} is too old; 6.2 or newer is needed.")
    if told.get("maxmemory_policy", "noeviction") != "noeviction":
        raise Wrong("it may evict keys, and jobs with them: set `maxmemory-policy noeviction`.")
    if not told.get("aof_enabled"):
        raise Wrong("it keeps nothing through a crash: set `appendonly yes`.")
    return f"{maker} {version}, append-only, {told['used_memory_human']} used"


def _redis_advice(settings: Settings) -> str:
    if settings.redis_url:
        return "Start it, or mend SMARTVOICE_REDIS_URL."
    try:
        binary = server_binary(settings.redis_binary)
        RedisDataFolder(settings.data_dir.absolute()).options(server_of(binary))
        return f"Start `smartvoice up`, which runs {binary} for you, or set SMARTVOICE_REDIS_URL."
    except NoRedis as error:
        return str(error)


async def _storage(settings: Settings) -> str:
    try:
        await Storage.of(settings).examine()
    except Problem as problem:
        if bucket.is_s3(settings.storage) and problem.__cause__:
            place = settings.s3_access.address or "Amazon"
            raise Wrong(f"{settings.storage} at {place}: {s3.advice(problem.__cause__)}.") from problem
        raise Wrong(f"{settings.storage} cannot be written to; mend SMARTVOICE_STORAGE_URL.") from problem
    return f"{settings.storage} can be written to"


async def _key(settings: Settings) -> str:
    if settings.secret_key.get_secret_value():
        return "SMARTVOICE_SECRET_KEY is set"
    if settings.key_file.exists():
        return f"kept in {settings.key_file}"
    raise Wrong("there is none yet; `smartvoice up` makes one, or set SMARTVOICE_SECRET_KEY.")


async def _voice(settings: Settings) -> str:
    if settings.tts_engine not in voice_engines.installed():
        raise Wrong(
            f"no engine {settings.tts_engine} is installed here; "
            f"SMARTVOICE_TTS_ENGINE may be: {voice_engines.listed()}. Install its package, or name another."
        )
    if settings.tts_engine == "piper":
        return _piper(settings)
    if settings.tts_engine != "openai":
        return f"engine {settings.tts_engine}; installed are: {voice_engines.listed()}"
    models = f"{settings.tts_base_url}/models"
    key = settings.tts_api_key.get_secret_value()
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            answer = await client.get(models, headers={"Authorization": f"Bearer {key}"} if key else {})
    except httpx.HTTPError as error:
        raise Wrong(f"nothing answers at {models}. Start the voice service, or mend SMARTVOICE_TTS_URL.") from error
    if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise Wrong(f"{models} answers {answer.status_code}; mend SMARTVOICE_TTS_API_KEY.")
    if answer.is_redirect:
        raise Wrong(f"{models} redirects, which is not followed; set SMARTVOICE_TTS_URL to where it leads.")
    if answer.is_server_error:
        raise Wrong(f"{models} answers {answer.status_code}; look into the voice service's log.")
    # Not every service lists its models: any other answer shows that it is there.
    return f"a service answers at {settings.tts_base_url}, model {settings.tts_model}"


def _piper(settings: Settings) -> str:
    if find_spec("piper") is None:
        raise Wrong("Piper is not installed here: pip install 'smartvoice[piper]'.")
    if count := len(list(settings.piper_dir.glob("*.onnx.json"))):
        return f"engine piper with {count} files of voices in {settings.piper_dir}"
    fetch = f"python -P -m piper.download_voices --download-dir {settings.piper_dir} en_US-lessac-medium"
    raise Wrong(f"there is no voice in {settings.piper_dir}; `{fetch}` fetches one.")


async def _sandbox(settings: Settings) -> str:
    # By name: the web side never imports the workers.
    process = await asyncio.create_subprocess_exec(
        *child_command.python("workers.sandbox.report_layers"), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    said = printed.decode().strip()
    if process.returncode:
        raise Wrong(said or "cannot be looked at; see above.")
    return said


async def _worker(settings: Settings) -> str:
    redis = connect(settings.redis)
    try:
        told = await redis.get(keys.VOICES)
    except (RedisError, OSError) as error:
        raise Wrong("cannot be known while Redis is away.") from error
    finally:
        await redis.aclose()
    if told is None:
        raise Wrong("none has started yet; run `smartvoice up` or `smartvoice worker`.")
    voices = json.loads(told)
    if voices["engine"] != settings.tts_engine:
        raise Wrong(f"runs with the engine {voices['engine']}, not {settings.tts_engine}; start the workers anew.")
    count = sum(len(found) for found in voices["voices"].values())
    return f"engine {voices['engine']} with {count} voices"


async def _web(settings: Settings) -> str:
    address = f"{address_of(settings)}/readyz"
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            answer = await client.get(address)
    except httpx.HTTPError as error:
        raise Wrong(f"nothing answers at {address}; run `smartvoice up` or `smartvoice web`.") from error
    if answer.status_code != httpx.codes.OK:
        raise Wrong(f"{address} answers {answer.status_code}: {answer.text[:200]}")
    return f"ready at {address_of(settings)}"
