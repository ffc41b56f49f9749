"""What the web side holds open while it serves; endpoints read it from `request.state`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from redis.asyncio import Redis

from app.auth.accounts import Accounts
from app.auth.bearer_tokens import Tokens
from app.auth.disabled_users import Access
from app.auth.keyring import Keyring
from app.auth.known_devices import Devices
from app.auth.oidc import Provider, provider_of
from app.auth.own_account import OwnAccount
from app.auth.second_factor import SecondFactor
from app.auth.sessions import Sessions
from app.auth.signin import SignIn
from app.auth.signin_throttle import Throttle
from app.auth.state import AuthState
from app.auth.stream_tickets import Tickets
from app.auth.token_issuer import Issuer
from app.core.aio import SharedCall, Turns
from app.core.etags import EntityTags
from app.core.eventlog.log import EventLog
from app.core.eventlog.worker_capacity import Capacity
from app.core.jobs.broker import WorkQueue
from app.core.jobs.service import Jobs
from app.core.keyed_semaphore import Slots
from app.core.projects.service import Projects
from app.core.redis.client import connect, fault_of, prepare
from app.core.redis.idempotency import Answers
from app.core.redis.memory_headroom import Headroom
from app.core.redis.rate_limiter import InFlight, Rates
from app.core.settings import Settings
from app.core.status.exposition import exposed, gathered
from app.core.status.readiness import Readiness
from app.core.status.service import status_of
from app.core.status.system_metrics import facts
from app.core.storage.object_store import Storage
from app.streaming.drain import Drain
from app.streaming.hub import Hub
from app.streaming.revocation import Guard
from app.streaming.slots import Places
from app.streaming.snapshot import Snapshots
from app.streaming.sse import Streams
from app.streaming.state import StreamingState
from app.streaming.status_broadcast import Bulletin


class State(AuthState, StreamingState):
    """One of each for a process."""

    redis: Redis
    storage: Storage
    log: EventLog
    jobs: Jobs
    projects: Projects
    rates: Rates
    headroom: Headroom
    answers: Answers
    devices: Devices
    sign_in: SignIn
    own_account: OwnAccount
    provider: Provider | None
    guard: Guard
    streams: Streams
    bodies: InFlight
    etags: EntityTags
    readiness: Readiness
    turns: Turns
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
