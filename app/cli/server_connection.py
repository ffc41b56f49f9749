"""How `narrate`, `watch` and `voices` find their SmartVoice, and what their exit status says."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast, get_args

from pydantic import ValidationError
from rich.console import Console

from app.cli import embedded_redis, up
from app.cli.command_settings import fault_of, settings_with
from app.cli.instance_lock import Busy
from app.cli.narrate import Failed, NarrateOptions, narrate
from app.cli.narrate_notes import Notes, cache_dir
from app.cli.progress_display import ProgressDisplay, show_of
from app.cli.watch import watch
from app.client.api import SmartVoice
from app.client.errors import ApiError, ClientError, Unreachable
from app.core.addresses import bound
from app.core.manuscripts.formats import FORMATS, suffix_of
from app.core.settings import Settings
from app.core.vocabulary import LANGUAGES, BookFormat

DONE, SOME_FAILED, NOT_SO, NO_SERVER, INTERRUPTED = 0, 1, 2, 3, 130

_USER = "admin"
_TOKEN_SECONDS = 30 * 86400
_CHAPTERS = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*")


def run(
    manuscript: Path,
    out: Path | None,
    server: str | None,
    token: str | None,
    asked: Mapping[str, str | None],
    data_dir: Path | None,
    json_lines: bool,
) -> int:
    """`smartvoice narrate`; its exit status."""
    show = show_of(json_lines)

    async def work() -> int:
        wish = _wish(manuscript, out, asked)
        with show:
            async with _somewhere(server, token, data_dir or cache_dir() / "narrate", show) as (client, address):
                notes = Notes(cache_dir() / "projects.json")
                place = address if server else str((data_dir or cache_dir() / "narrate").absolute())
                return await narrate(client, place, notes, wish, show)

    return _status(work, show.say)


def run_watch(projects: list[str], server: str | None, token: str | None, json_lines: bool) -> int:
    """`smartvoice watch`; its exit status."""

    async def work() -> int:
        async with _running(server, token) as client:
            await watch(client, projects, json_lines)
        return DONE

    async def ended() -> int:
        # One ends it by Ctrl-C: that is how it is meant.
        with suppress(asyncio.CancelledError):
            return await work()
        return DONE

    return _status(ended, _complain)


def run_voices(language: str | None, server: str | None, token: str | None) -> int:
    """`smartvoice voices`; its exit status."""

    async def work() -> int:
        async with _running(server, token) as client:
            told = (await client.voices())["voices"]
        wanted = (language or "").lower()
        for spoken, found in sorted(told.items()):
            if spoken.lower() == wanted or spoken.lower().partition("-")[0] == wanted or not wanted:
                for voice in found:
                    print(f"{voice['id']}\t{spoken}\t{voice['name']}")
        return DONE

    return _status(work, _complain)


@asynccontextmanager
async def _running(server: str | None, token: str | None) -> AsyncIterator[SmartVoice]:
    """The server that is named, else the one that `smartvoice up` runs here."""
    if server is None:
        settings = settings_with()
        server, token = up.local(settings), token or _token(settings)
    async with SmartVoice.at(server, _given(token)) as client:
        yield client


@asynccontextmanager
async def _somewhere(
    server: str | None, token: str | None, data_dir: Path, show: ProgressDisplay
) -> AsyncIterator[tuple[SmartVoice, str]]:
    """The server that is named, else one of our own, with its data in `data_dir`."""
    if server is not None:
        async with SmartVoice.at(server, _given(token)) as client:
            yield client, server
        return
    settings = settings_with(port=_free_port(settings_with(data_dir=data_dir).host))
    show.say("Starting SmartVoice …")
    async with (
        up.standing(settings, data_dir / "narrate.log") as address,
        SmartVoice.at(address, _token(settings, make=True)) as client,
    ):
        yield client, address


def _token(settings: Settings, *, make: bool = False) -> str:
    """A token that we sign ourselves, for the user whom `smartvoice up` signs in."""
    from app.auth.bearer_tokens import Tokens
    from app.auth.keyring import Keyring

    if not make and not settings.secret_key.get_secret_value() and not settings.key_file.exists():
        raise Unreachable("No SmartVoice runs here: start `smartvoice up`, or name one by --server and --token.")
    return Tokens(Keyring.of(settings)).sign(_USER, _TOKEN_SECONDS)


def _given(token: str | None) -> str:
    if not token:
        raise Failed("A server wants a token: --token, or SMARTVOICE_TOKEN. `smartvoice token USER` there makes one.")
    return token


def _wish(manuscript: Path, out: Path | None, asked: Mapping[str, str | None]) -> NarrateOptions:
    """What is asked for. Raises Failed where it cannot be had."""
    if not manuscript.is_file():
        raise Failed(f"There is no file {manuscript}.")
    if (suffix := suffix_of(manuscript.name)) and not any(suffix in one.suffixes for one in FORMATS.values()):
        raise Failed(f"{manuscript.name} is of no kind that can be read; these are: {', '.join(FORMATS)}.")
    if (book := asked["book"]) not in {None, *get_args(BookFormat)}:
        raise Failed(f"{book!r} is no form of a book: m4b or zip.")
    if (language := asked["language"]) not in {None, *LANGUAGES}:
        raise Failed(f"{language!r} is no language that SmartVoice speaks: {' or '.join(LANGUAGES)}.")
    folder = out or Path(manuscript.stem)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"{folder} cannot be made: {error.strerror}. Name another by -o.") from error
    return NarrateOptions(
        manuscript, folder, asked["voice"], language, cast("BookFormat | None", book), _numbers(asked["chapters"])
    )


def _numbers(text: str | None) -> frozenset[int] | None:
    """`3-5,8` as numbers. Raises Failed."""
    if text is None:
        return None
    if not _CHAPTERS.fullmatch(text):
        raise Failed(f"{text!r} are no chapters: write 3, 3-5 or 1,3-5.")
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _free_port(host: str) -> int:
    with bound(host, 0) as probe:
        return int(probe.getsockname()[1])


def _status(work: Callable[[], Coroutine[Any, Any, int]], complain: Callable[[str], None]) -> int:
    """What `work` returns, and for what it raises a sentence and a status of its own."""
    try:
        return asyncio.run(_until_told(work))
    except asyncio.CancelledError:
        complain("Stopped. Run the same command again to go on.")
        return INTERRUPTED
    except (Unreachable, embedded_redis.NoRedis, Busy) as error:
        complain(str(error))
        return NO_SERVER
    except ApiError as error:
        complain(f"The server refused: {error.detail} ({error.code})")
        return NO_SERVER if error.status >= 500 else NOT_SO
    except ValidationError as error:
        complain(fault_of(error))
        return NOT_SO
    except (Failed, ClientError) as error:
        complain(str(error))
        return NOT_SO


async def _until_told(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Ctrl-C and SIGTERM cancel the work once; what it does then is done in peace."""
    task = asyncio.create_task(work())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with suppress(BrokenPipeError):
        return await task
    return DONE


def _complain(text: str) -> None:
    Console(stderr=True, highlight=False).print(text, style="red", markup=False)
