"""Redis watched over by Sentinels: the primary is killed in the middle of a book, and another takes its place."""

from __future__ import annotations

from collections import Counter

import pytest

from app.core.redis.client import connect
from app.core.redis.sentinel import watched
from tests.faults.readers import Crowd, SseReader, logged
from tests.faults.rig import rigged
from tests.scale.book import Book, check_log
from tests.servers import running_watched
from tests.support import until


def test_url_says_who_watches_and_how_to_speak() -> None:
    found = watched("rediss+sentinel://me:p%40ss@a:1,[::1]:2,b/voices?db=3&sentinel_password=s")
    assert found.sentinels == [("a", 1), ("::1", 2), ("b", 26379)]
    assert (found.service, found.asking["password"]) == ("voices", "s")
    assert found.options == {"db": 3, "ssl": True, "username": "me", "password": "p@ss"}


@pytest.mark.timeout(240)
async def test_book_is_narrated_though_the_primary_of_log_and_broker_is_killed() -> None:
    with running_watched() as servers:
        async with rigged() as rig:
            webs = [await rig.web(redis_url=servers.url) for _ in range(2)]
            await rig.worker(redis_url=servers.url, worker_concurrency=1)
            readers = [SseReader([web.port for web in webs], "alice", rig.token("alice")) for _ in range(4)]
            async with Crowd(readers).reading(), rig.client_of(webs[0], "alice") as http:
                book = Book(http)
                await book.make()
                await book.narrate()
                await book.done(1)
                servers.kill_primary()
                await book.done()
                async with connect(servers.url, patient=True) as redis:
                    log = await logged(redis, "alice")
                check_log(log)
                # What the copy had not got yet is lost with the primary: then, and only then, readers are told so.
                await until(lambda: all(reader.cursor == log[-1].id for reader in readers), 60)
                ends = {told.id for told in log if told.type == "audio:complete"}
                for reader in readers:
                    assert max(Counter(told.id for told in reader.events).values()) == 1
                    assert ends <= {told.id for told in reader.events} or reader.controls["reset"]
