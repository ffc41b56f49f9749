"""What the functions of this package need of a request's state."""

from __future__ import annotations

from typing import TypedDict

from app.core.keyed_semaphore import KeyedSemaphore
from app.core.settings import Settings
from app.streaming.drain import Drain
from app.streaming.hub import Hub
from app.streaming.slots import StreamSlots
from app.streaming.snapshot import Snapshots


class StreamingState(TypedDict):
    """The part of `app.state.State` that lets readers in and serves them."""

    settings: Settings
    hub: Hub
    stream_slots: StreamSlots
    drain: Drain
    snapshots: Snapshots
    request_slots: KeyedSemaphore
