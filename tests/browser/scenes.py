"""A book in every state that the pages show: nothing yet, at work, failed, done; for tests and pictures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from playwright.async_api import BrowserContext

from app.auth.sessions import Sessions
from app.cli import embedded_redis
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.vocabulary import Language
from tests.manuscripts.books import BOOKS
from tests.stack import Stack, running
from tests.support import Client, until
from tests.tts_server import TtsServer
from tests.tts_sound import KINDS, sound_of
from tests.tts_ways import Call, Line, Way, failing, good

STATES = ("working", "failed", "done")
ADMINISTRATOR = "admin"
PASSWORD = "correct horse battery staple"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 "
    "Mobile/15E148 Safari/604.1"
)

_BOOKS: dict[Language, tuple[dict[str, str], list[str]]] = {
    "en": (
        {"working": "Salt and Stars", "failed": "The Glass Harbour", "done": "The Lamp Keeper"},
        [
            "The Lighthouse",
            "A Letter Without a Name",
            "The Visitor",
            "Fog",
            "What the Sea Kept",
            "The Long Winter",
            "A Light Inland",
            "Homecoming",
        ],
    ),
    "zh-CN": (
        {"working": "盐与星", "failed": "玻璃港", "done": "守灯人"},
        ["灯塔", "没有署名的信", "来访者", "大雾", "海的收藏", "漫长的冬天", "内陆的灯", "归来"],
    ),
}
_FARM: dict[Language, str] = {"en": "The Farm", "zh-CN": "农庄"}
_SENTENCES: dict[Language, list[str]] = {
    "en": [
        "Every evening the keeper climbed the hundred and twenty steps and counted them aloud.",
        "The wind came from the east, and the ships would be a little late.",
        "He trimmed the wick, wiped the glass, and waited for the dark to settle on the water.",
        "Far out a small boat turned its bow towards the light.",
        "Nobody wrote to thank him, and yet the drawer was full of letters.",
    ],
    "zh-CN": [
        "每天傍晚，守灯人都会登上一百二十级台阶，一边走一边数。",
        "风从东边来，船会晚一点回家。",
        "他剪好灯芯，擦净玻璃，等着夜色落在海面上。",
        "远处的一条小船调转船头，朝着光驶来。",
        "没有人写信道谢，抽屉里却装满了信。",
    ],
}
_SLOW: dict[Language, str] = {"en": "Then the bell rang, {number} times.", "zh-CN": "这时钟声响了，一共{number}下。"}
_BELL: dict[Language, str] = {"en": "the bell rang", "zh-CN": "钟声响了"}
_DRAGGING: dict[Language, str] = {
    "en": "Somewhere under the stairs a door fell shut that nobody had touched for years.",
    "zh-CN": "楼梯下面，一扇多年没人碰过的门忽然关上了。",
}
_TERMS: dict[Language, list[dict[str, Any]]] = {
    "en": [{"term": "Siobhan", "respelling": "Shivawn"}, {"term": "US", "respelling": "you ess", "matchCase": True}],
    "zh-CN": [{"term": "重阳", "respelling": "虫阳"}, {"term": "USB", "respelling": "优盘接口"}],
}
_GUESSED: dict[Language, list[str]] = {
    "en": [
        f"{number}. The {name}\n\n{f'Nobody went to the {name} but the cat. ' * 6}"
        for number, name in enumerate(("Gate", "Well", "Barn"), 1)
    ],
    "zh-CN": [
        f"{number}、{name}\n\n{f'除了那只猫，没有人去{name}那里。' * 6}"
        for number, name in zip("一二三", ("院门", "水井", "谷仓"), strict=True)
    ],
}
_BAD: dict[Language, str] = {"en": "Something unspeakable happened.", "zh-CN": "发生了无法言说的事。"}


@dataclass(frozen=True)
class Place:
    """A SmartVoice that speaks with a voice service which does as it is told."""

    stack: Stack
    voice: TtsServer

    @asynccontextmanager
    async def client(self, user: str) -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {await asyncio.to_thread(self.stack.token, user)}"}
        async with httpx.AsyncClient(
            base_url=self.stack.address, headers=headers, trust_env=False, timeout=60
        ) as client:
            yield Client(client)

    async def sign_in(self, context: BrowserContext, user: str) -> None:
        await sign_in(context, self.stack, user)


async def sign_in(context: BrowserContext, stack: Stack, user: str) -> None:
    """Makes the browser that of somebody with an account, without the trouble of one."""
    settings = Settings(redis_url=f"unix://{embedded_redis.socket_of(stack.folder)}", data_dir=stack.folder)
    async with connect(settings.redis) as redis:
        link = await Sessions(redis, settings).link(user)
    answer = await context.request.post(f"{stack.address}/api/session", data={"link": link})
    assert answer.ok, await answer.text()


@asynccontextmanager
async def placed(**settings: str) -> AsyncIterator[Place]:
    """Two narrations at once, in segments of a sentence or two."""
    async with TtsServer(voices={"voices": ["alloy", "fable", "nova", "onyx"]}) as voice:
        stack = running(
            SMARTVOICE_TTS_ENGINE="openai",
            SMARTVOICE_TTS_URL=voice.url,
            SMARTVOICE_TTS_MAX_CHARACTERS="160",
            SMARTVOICE_TTS_CONCURRENCY="2",
            SMARTVOICE_WORKER_PROCESSES="1",
            **settings,
        )
        # In a thread: the service answers on this loop while the stack starts and stops.
        place = Place(await asyncio.to_thread(stack.__enter__), voice)
        try:
            yield place
        finally:
            await asyncio.to_thread(stack.__exit__, None, None, None)


async def scenes(place: Place, language: Language, chapters: int = 8) -> dict[str, tuple[str, str]]:
    """Every state as a user and the path of a page, of books with 5 to 8 chapters.

    What is at work stays so until the voice is released.
    """
    user = f"reader-{language.lower()}"
    async with place.client(user) as client:
        # What is at work comes last: it holds the voice.
        order = sorted(STATES, key=lambda state: state == "working")
        made = {state: (user, f"/projects/{await make(place, client, state, language, chapters)}") for state in order}
        doubtful = await client.create("\n\n".join(_GUESSED[language]), title=_FARM[language], language=language)
        taken = await _upload(client, "epub nav alone, nested parts", language)
        for project in (str(doubtful["id"]), taken):
            await until(lambda project=project: _chapters(client, project))
        assert {one["confidence"] for one in await _chapters(client, str(doubtful["id"]))} == {"low"}
    made |= {"doubtful": (user, f"/projects/{doubtful['id']}"), "taken": (user, f"/projects/{taken}")}
    with_account = {"account": (await _account(place, language), "/account")}
    return {
        "empty": ("newcomer", "/"),
        **with_account,
        "projects": (user, "/"),
        **made,
        "status": (ADMINISTRATOR, "/status"),
    }


async def _account(place: Place, language: Language) -> str:
    """Somebody with a local account, who is signed in with a phone as well."""
    user = f"owner-{language.lower()}"
    words = ("user", "add", user, "--password-stdin")
    await asyncio.to_thread(place.stack.command, *words, stdin=f"{PASSWORD}\n")
    async with httpx.AsyncClient(base_url=place.stack.address, headers={"User-Agent": PHONE}, trust_env=False) as http:
        answer = await http.post("/api/session", json={"username": user, "password": PASSWORD})
        assert answer.is_success, answer.text
    return user


async def make(place: Place, client: Client, state: str, language: Language, chapters: int = 8) -> str:
    """The id of a project in `state`, one of `STATES`."""
    title, book = manuscript(state, language, chapters)
    project = str((await client.create(book, title=title, language=language, voice="nova"))["id"])
    await until(lambda: _chapters(client, project))
    if state == "failed":
        place.voice.misbehave_always(_refuses(_BAD[language]))
    if state == "done":
        place.voice.misbehave_always(_drags(_DRAGGING[language]))
        ways = {"pronunciations": _TERMS[language], "dialogueVoice": "fable"}
        assert (await client.http.patch(f"/api/projects/{project}", json=ways)).is_success
    if state == "working":
        place.voice.hold(lambda text: _BELL[language] in text)
    await client.http.post(f"/api/projects/{project}/audio")
    wanted = {"working": _two_are_held, "failed": _has_ended, "done": _has_ended}[state]
    await until(lambda: wanted(place, client, project), timeout=60)
    place.voice.misbehave_always(None)
    if state == "done":
        await _make_the_book(client, project)
        await _change_a_text(client, project)
    return project


def manuscript(state: str, language: Language, chapters: int = 8) -> tuple[str, str]:
    """Title and text of so many chapters that can come into `state`: slow from the third on, or with a bad fourth."""
    titles, names = _BOOKS[language]
    parts = []
    for number, name in enumerate(names[:chapters], 1):
        heading = f"Chapter {number}: {name}" if language == "en" else f"第{'一二三四五六七八'[number - 1]}章 {name}"
        sentences = _SENTENCES[language][number % 5 :] + _SENTENCES[language] * (3 + number % 3)
        if state == "working" and number > 2:
            sentences.insert(len(sentences) * (1 + number % 3) // 4, _SLOW[language].format(number=number))
        if state == "done" and number == 2:
            sentences.insert(4, _DRAGGING[language])
        if state == "failed" and number == 4:
            sentences.insert(3, _BAD[language])
        parts.append(f"{heading}\n\n{' '.join(sentences)}")
    return titles[state], "\n\n".join(parts)


def _drags(slow: str) -> Way:
    """Says what has this sentence in it much slower than the rest."""

    async def way(call: Call, line: Line) -> None:
        await line.answer(200, KINDS[call.form], sound_of(call.text * (3 if slow in call.text else 1), call.form))

    return way


def _refuses(bad: str) -> Way:
    async def way(call: Call, line: Line) -> None:
        told = "The text was refused by the content filter."
        await (failing(400, told) if bad in call.text else good)(call, line)

    return way


async def _chapters(client: Client, project: str) -> list[dict[str, Any]]:
    return list((await client.project(project))["chapters"])


async def _has_ended(place: Place, client: Client, project: str) -> bool:
    jobs = [chapter["job"] for chapter in await _chapters(client, project)]
    return all(job and job["state"] in {"completed", "failed"} for job in jobs)


async def _two_are_held(place: Place, client: Client, project: str) -> bool:
    return place.voice.held == 2 and sum(1 for one in await _chapters(client, project) if one["audioUrl"]) == 2


async def _upload(client: Client, book: str, language: Language) -> str:
    name, build = BOOKS[book]
    answer = await client.http.post("/api/projects", files={"file": (name, build())}, data={"language": language})
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


async def _make_the_book(client: Client, project: str) -> None:
    answer = await client.http.post(f"/api/projects/{project}/book", json={"format": "m4b"})
    assert answer.is_success, answer.text

    async def made() -> bool:
        return bool((await client.project(project))["books"])

    await until(made, timeout=60)


async def _change_a_text(client: Client, project: str) -> None:
    chapter = (await _chapters(client, project))[2]
    path = f"/api/projects/{project}/chapters/{chapter['id']}"
    text = (await client.http.get(path)).json()["text"]
    assert (await client.http.patch(path, json={"text": f"{text} It was late."})).is_success
