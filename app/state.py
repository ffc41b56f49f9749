"""What a web process holds open while it serves; endpoints read it from `request.state`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from redis.asyncio import Redis

from app.auth.accounts import Accounts
from app.auth.bearer_tokens import Tokens
from app.auth.disabled_users import DisabledUsers
from app.auth.keyring import Keyring
from app.auth.known_devices import KnownDevices
from app.auth.oidc import Provider, provider_of
from app.auth.own_account import OwnAccount
from app.auth.second_factor import SecondFactor
from app.auth.sessions import Sessions
from app.auth.signin import SignIn
from app.auth.signin_throttle import SignInThrottle
from app.auth.state import AuthState
from app.auth.stream_tickets import Tickets
from app.auth.token_issuer import TokenIssuer
from app.core.aio import KeyedLock, SharedCall
from app.core.etags import EntityTags
from app.core.eventlog.log import EventLog
from app.core.eventlog.worker_capacity import WorkerCapacity
from app.core.jobs.broker import WorkQueue
from app.core.jobs.service import Jobs
from app.core.keyed_semaphore import KeyedSemaphore
from app.core.projects.service import Projects
from app.core.redis.client import connect, fault_of, prepare
from app.core.redis.idempotency import IdempotentResponses
from app.core.redis.memory_headroom import MemoryHeadroom
from app.core.redis.rate_limiter import InFlight, RateLimiter
from app.core.settings import Settings
from app.core.status.exposition import exposed, gathered
from app.core.status.readiness import Readiness
from app.core.status.service import status_of
from app.core.status.system_metrics import system_metrics
from app.core.storage.object_store import Storage
from app.streaming.drain import Drain
from app.streaming.hub import Hub
from app.streaming.revocation import CredentialWatcher
from app.streaming.slots import StreamSlots
from app.streaming.snapshot import Snapshots
from app.streaming.sse import Streams
from app.streaming.state import StreamingState
from app.streaming.status_broadcast import StatusBroadcaster


class State(AuthState, StreamingState):
    """One of each for a process."""

    redis: Redis
    storage: Storage
    log: EventLog
    jobs: Jobs
    projects: Projects
    rate_limiter: RateLimiter
    memory_headroom: MemoryHeadroom
    idempotent_responses: IdempotentResponses
    known_devices: KnownDevices
    sign_in: SignIn
    own_account: OwnAccount
    provider: Provider | None
    credential_watcher: CredentialWatcher
    streams: Streams
    bodies: InFlight
    etags: EntityTags
    readiness: Readiness
    locks: KeyedLock
    metrics: SharedCall[bytes]


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[State]:
    """Open everything, and close it with the context. Redis need not be up yet."""
    redis = connect(settings.redis)
    await prepare(redis)
    capacity = WorkerCapacity(redis, settings)
    log = EventLog(redis, settings, capacity)
    queue = WorkQueue(settings.queue)
    jobs = Jobs(redis, log, settings, queue)
    storage = Storage.of(settings)
    hub = Hub(log, settings)
    stream_slots = StreamSlots(redis, settings)
    drain = Drain(settings.drain_seconds, hub.interrupt)
    keyring = Keyring.of(settings)
    tokens = Tokens(keyring, TokenIssuer.of(settings))
    sessions, disabled_users, known_devices = Sessions(redis, settings), DisabledUsers(redis), KnownDevices(redis)
    factor = SecondFactor(redis, keyring)
    sign_in = SignIn(Accounts(redis, settings), sessions, disabled_users, known_devices, SignInThrottle(redis), factor)
    credential_watcher = CredentialWatcher(disabled_users, hub)
    projects = Projects(redis, storage, jobs, settings)
    readiness = Readiness(redis, storage)
    metrics = SharedCall(partial(_metrics, settings, redis))
    status_broadcaster = StatusBroadcaster(partial(status_of, settings, redis))
    snapshots = Snapshots(log, projects, jobs)
    streams = Streams(settings, hub, credential_watcher, stream_slots, drain, snapshots, status_broadcaster)
    try:
        async with (
            hub.running(),
            stream_slots.running(),
            capacity.running(),
            credential_watcher.watching(keyring),
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
                    rate_limiter=RateLimiter(redis, settings),
                    memory_headroom=MemoryHeadroom(redis),
                    idempotent_responses=IdempotentResponses(redis, settings),
                    hub=hub,
                    stream_slots=stream_slots,
                    drain=drain,
                    tokens=tokens,
                    sessions=sessions,
                    disabled_users=disabled_users,
                    known_devices=known_devices,
                    tickets=Tickets(redis, settings, tokens),
                    sign_in=sign_in,
                    own_account=OwnAccount(sign_in),
                    provider=provider_of(settings, redis),
                    credential_watcher=credential_watcher,
                    snapshots=snapshots,
                    streams=streams,
                    bodies=InFlight(settings.max_bodies_at_once),
                    etags=EntityTags(settings.signing_key()),
                    readiness=readiness,
                    locks=KeyedLock(),
                    request_slots=KeyedSemaphore(settings.max_requests_at_once, settings.max_requests_waiting),
                    metrics=metrics,
                )
    finally:
        await metrics.close()
        await readiness.close()
        await status_broadcaster.close()
        await credential_watcher.close()
        await tokens.close()
        await queue.aclose()
        await redis.aclose()


async def _metrics(settings: Settings, redis: Redis) -> bytes:
    return await gathered(settings, await system_metrics(settings, redis))
