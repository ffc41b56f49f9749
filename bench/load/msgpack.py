"""As much of MessagePack as a Socket.IO packet for the Redis adapter needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def packed(value: object) -> bytes:
    """`value` (None, bool, int from 0 to 127, text, lists, dicts) in MessagePack. Raises TypeError for what else."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int() if 0 <= value < 128:
            return bytes([value])
        case str():
            return _text(value.encode())
        case Mapping() if len(value) < 16:
            return bytes([0x80 | len(value)]) + b"".join(packed(key) + packed(item) for key, item in value.items())
        case Sequence() if len(value) < 16:
            return bytes([0x90 | len(value)]) + b"".join(packed(item) for item in value)
        case _:
            raise TypeError(f"{value!r} is not packed here")


def _text(content: bytes) -> bytes:
    size = len(content)
    if size < 32:
        return bytes([0xA0 | size]) + content
    if size < 256:
        return b"\xd9" + bytes([size]) + content
    return b"\xda" + size.to_bytes(2, "big") + content
