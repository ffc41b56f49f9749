"""What the web side holds open while it serves; endpoints read it from `request.state`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TypedDict

from redis.asyncio import Redis

from app.auth.access import Access
from app.auth.accounts import Accounts
from app.auth.devices import Devices
from app.auth.issuer import Issuer
from app.auth.keyring import Keyring
from app.auth.oidc import Provider, provider_of
from app.auth.own_account import OwnAccount
from app.auth.second_factor import SecondFactor
from app.auth.sessions import Sessions
from app.auth.signin import SignIn
from app.auth.throttle import Throttle
from app.auth.tickets import Tickets
from app.auth.tokens import Tokens
from app.core.answers import Answers
from app.core.capacity import Capacity
from app.core.etags import EntityTags
from app.core.eventlog import EventLog
from app.core.exposition import exposed, gathered
from app.core.facts import facts
from app.core.headroom import Headroom
from app.core.jobs import Jobs
from app.core.projects import Projects
from app.core.queue import WorkQueue
from app.core.rates import InFlight, Rates
from app.core.readiness import Readiness
from app.core.redis import connect, fault_of, prepare
from app.core.settings import Settings
from app.core.slots import Slots
from app.core.status import status_of
from app.core.storage import Storage
from app.core.tasks import SharedCall, Turns
from app.events.bulletin import Bulletin
from app.events.drain import Drain
from app.events.guard import Guard
from app.events.hub import Hub
from app.events.places import Places
from app.events.snapshot import Snapshots
from app.events.sse import Streams


class State(TypedDict):
    """One of each for a process."""

    settings: Settings
    redis: Redis
    storage: Storage
    log: EventLog
    jobs: Jobs
    projects: Projects
    rates: Rates
    headroom: Headroom
    answers: Answers
    hub: Hub
    places: Places
    drain: Drain
    tokens: Tokens
    sessions: Sessions
    access: Access
    devices: Devices
    tickets: Tickets
    sign_in: SignIn
    own_account: OwnAccount
    provider: Provider | None
    guard: Guard
    snapshots: Snapshots
    streams: Streams
    bodies: InFlight
    etags: EntityTags
    readiness: Readiness
    turns: Turns
    slots: Slots
    metrics: SharedCall[bytes]


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[State]:
    """Opens everything, and closes it with the context. Redis need not be there yet."""
    redis = connect(settings.redis)
    await prepare(redis)
    capacity = Capacity(redis, settings)
    log = EventLog(redis, settings, capacity)
    queue = WorkQueue(settings.queue)
    jobs = Jobs(redis, log, settings, queue)
    storage = Storage.of(settings)
    hub = Hub(log, settings)
    places = Places(redis, settings)
    drain = Drain(settings.drain_seconds, hub.interrupt)
    keyring = Keyring.of(settings)
    tokens = Tokens(keyring, Issuer.of(settings))
    sessions, access, devices = Sessions(redis, settings), Access(redis), Devices(redis)
    factor = SecondFactor(redis, keyring)
    sign_in = SignIn(Accounts(redis, settings), sessions, access, devices, Throttle(redis), factor)
    guard = Guard(access, hub)
    projects = Projects(redis, storage, jobs, settings)
    readiness = Readiness(redis, storage)
    metrics = SharedCall(partial(_metrics, settings, redis))
    bulletin = Bulletin(partial(status_of, settings, redis))
    snapshots = Snapshots(log, projects, jobs)
    streams = Streams(settings, hub, guard, places, drain, snapshots, bulletin)
    try:
        async with (
            hub.running(),
            places.running(),
            capacity.running(),
            guard.watching(keyring),
            exposed(settings, "web", partial(fault_of, redis)),
        ):
            with drain.on_signals():
                yield State(
                    settings=settings,
                    redis=redis,
                    storage=storage,
                    log=log,
                    jobs=jobs,
                    projects=projects,
                    rates=Rates(redis, settings),
                    headroom=Headroom(redis),
                    answers=Answers(redis, settings),
                    hub=hub,
                    places=places,
                    drain=drain,
                    tokens=tokens,
                    sessions=sessions,
                    access=access,
                    devices=devices,
                    tickets=Tickets(redis, settings, tokens),
                    sign_in=sign_in,
                    own_account=OwnAccount(sign_in),
                    provider=provider_of(settings, redis),
                    guard=guard,
                    snapshots=snapshots,
                    streams=streams,
                    bodies=InFlight(settings.max_bodies_at_once),
                    etags=EntityTags(settings.signing_key()),
                    readiness=readiness,
                    turns=Turns(),
                    slots=Slots(settings.max_requests_at_once, settings.max_requests_waiting),
                    metrics=metrics,
                )
    finally:
        await metrics.close()
        await readiness.close()
        await bulletin.close()
        await guard.close()
        await tokens.close()
        await queue.aclose()
        await redis.aclose()


async def _metrics(settings: Settings, redis: Redis) -> bytes:
    return await gathered(settings, await facts(settings, redis))
