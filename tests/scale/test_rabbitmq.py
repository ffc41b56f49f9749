"""RabbitMQ as the broker of jobs: it is killed, and so is a worker, and every chapter is narrated once."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.readers import Crowd, SseReader, logged
from tests.faults.rig import rigged
from tests.scale.book import Book, check_log, check_readers
from tests.servers import running_rabbitmq


@pytest.mark.timeout(240)
async def test_book_is_narrated_though_rabbitmq_and_a_worker_are_killed() -> None:
    with running_rabbitmq() as rabbit:
        async with rigged() as rig:
            web = await rig.web(queue_url=rabbit.url)
            workers = [await rig.worker(queue_url=rabbit.url, worker_concurrency=1) for _ in range(2)]
            readers = [SseReader([web.port], "alice", rig.token("alice")) for _ in range(3)]
            async with Crowd(readers).reading(), rig.client_of(web, "alice") as http, rig.client as redis:
                book = Book(http)
                await book.make()
                await book.narrate()
                await book.done(1)
                rabbit.kill()
                workers[0].kill()
                await asyncio.to_thread(rabbit.start)
                await workers[0].restart()
                await book.done()
                log = await logged(redis, "alice")
                check_log(log)
                await check_readers(readers, log)


async def test_short_job_begins_though_another_user_s_long_one_has_the_only_place() -> None:
    with running_rabbitmq() as rabbit:
        async with rigged() as rig:
            web = await rig.web(queue_url=rabbit.url)
            await rig.worker(queue_url=rabbit.url, worker_concurrency=1)
            async with rig.client_of(web, "alice") as alice, rig.client_of(web, "bob") as bob:
                long, short = Book(alice, sentences=2000), Book(bob, sentences=1)
                await long.make()
                await long.narrate()
                await short.make()
                await short.narrate()
                await short.done(1)
                assert not any(chapter["audioUrl"] for chapter in await long.chapters())
                first = (await long.chapters())[0]["job"]
                assert (first["state"], first["attempt"]) == ("active", 1)
