"""The program of a voice process: answers the requests of one worker for one engine, one after the other.

It runs in a sandbox, as `python -I child.py`, and imports nothing of ours before it is told what to load, so that a
voice that needs little stays small. Requests come on standard input, replies leave on standard output, both in frames:
one byte for the kind, four for the length of what follows (big endian), and that. A request is JSON (`j`). Its reply
is any number of frames of sound (`s`: 16-bit little-endian samples, one channel), then one of JSON: the result (`j`) or
the error (`e`: `code`, `message`, `retryable`, `retryAfter`).

The first request is the configuration: `speaker` (a file, or a module, also in one of `path`), which has
`open_speaker(options)`, and `idleSeconds`, after which a process that nobody asks ends itself.

It also ends when standard input does: its worker is gone, however that happened.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import queue
import struct
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, BinaryIO, Protocol

HEADER = struct.Struct("!cI")
JSON, SOUND, ERROR = b"j", b"s", b"e"

_SOUND_BYTES = 64 * 1024
_MAX_MESSAGE = 500


class Speaker(Protocol):
    """What a voice process asks of an engine. All of it blocks; errors have `code`, `message` and `retryable`."""

    def facts(self) -> dict[str, Any]:
        """What never changes: `name`, `fingerprint`, `maxCharacters`, `atOnce`, `wantsWords`, `voices` (each `id`,
        `name`, `language`) and `defaults`, the voice of each language, or None where `voice_for` decides."""
        ...

    def voice_for(self, language: str, wanted: str | None) -> str:
        """As `Engine.voice_for`."""
        ...

    def speak(self, text: str, voice: str, speed: float, on_sound: Callable[[bytes], None]) -> int:
        """Hands the sound to `on_sound` as it comes; returns its sample rate."""
        ...


def frame(kind: bytes, content: bytes) -> bytes:
    """A frame as it is sent."""
    return HEADER.pack(kind, len(content)) + content


def json_frame(kind: bytes, content: object) -> bytes:
    """A frame of JSON; half a surrogate pair in it passes."""
    return frame(kind, json.dumps(content).encode())


def main() -> None:
    """Serves until standard input ends, or nobody has asked for long."""
    requests, replies = _take_pipes()
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    config = _read(requests)
    threading.Thread(target=_receive, args=(requests, inbox), daemon=True).start()
    serve(config, inbox, replies)


def serve(config: dict[str, Any], inbox: queue.SimpleQueue[dict[str, Any]], replies: int) -> None:
    """Answers what comes into `inbox`; returns where nothing does for `idleSeconds`."""
    speaker: Speaker | None = None
    while True:
        try:
            request = inbox.get(timeout=config["idleSeconds"])
        except queue.Empty:
            return
        try:
            speaker = speaker or _open(config)
            reply = json_frame(JSON, _answer(speaker, request, replies))
        except Exception as error:  # of whichever engine: its worker is told, and asks again or not
            reply = json_frame(ERROR, _told(error))
        _write(replies, reply)


def _answer(speaker: Speaker, request: dict[str, Any], replies: int) -> object:
    match request["ask"]:
        case "facts":
            return speaker.facts()
        case "voice":
            return speaker.voice_for(request["language"], request["wanted"])
        case _:
            sound = _Sound(replies)
            rate = speaker.speak(request["text"], request["voice"], request["speed"], sound.add)
            sound.flush()
            return rate


class _Sound:
    """Sends sound in frames of a useful size."""

    def __init__(self, replies: int) -> None:
        self._replies = replies
        self._waiting: list[bytes] = []
        self._size = 0

    def add(self, samples: bytes) -> None:
        self._waiting.append(samples)
        self._size += len(samples)
        if self._size >= _SOUND_BYTES:
            self.flush()

    def flush(self) -> None:
        _write(self._replies, b"".join([HEADER.pack(SOUND, self._size), *self._waiting]))
        self._waiting, self._size = [], 0


def _told(error: Exception) -> dict[str, Any]:
    """An error for the worker; one without a code is the engine's own fault, which may pass."""
    if code := getattr(error, "code", ""):
        said, retryable = getattr(error, "message", str(error)), bool(getattr(error, "retryable", False))
    else:
        code, said, retryable = "engine_failed", f"The voice engine failed: {type(error).__name__}: {error}", True
    retry_after = getattr(error, "retry_after", None)
    return {"code": code, "message": said[:_MAX_MESSAGE], "retryable": retryable, "retryAfter": retry_after}


def _open(config: dict[str, Any]) -> Speaker:
    """Loads the engine. What it prints goes to standard error."""
    sys.path += [folder for folder in config["path"] if folder not in sys.path]
    speaker: str = config["speaker"]
    module = _loaded(speaker) if speaker.endswith(".py") else importlib.import_module(speaker)
    opened: Speaker = module.open_speaker(config["options"])
    return opened


def _loaded(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("speaker", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["speaker"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _take_pipes() -> tuple[BinaryIO, int]:
    """The pipes; what a library prints or reads is kept away from them."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.dup(1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, replies


def _receive(requests: BinaryIO, inbox: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Reads in a thread of its own, so that the end of the worker is seen in the middle of a call, too."""
    while True:
        inbox.put(_read(requests))


def _read(requests: BinaryIO) -> dict[str, Any]:
    """The next request. Ends this process where there is none."""
    head = requests.read(HEADER.size)
    if len(head) < HEADER.size:
        os._exit(0)
    content = requests.read(HEADER.unpack(head)[1])
    found: dict[str, Any] = json.loads(content)
    return found


def _write(replies: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(replies, left) :]


if __name__ == "__main__":
    main()
    os._exit(0)
