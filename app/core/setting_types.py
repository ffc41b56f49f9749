"""Types of settings that the standard ones do not check, or cannot read from a variable, which is always text."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

_HOSTS = r"([^/?#\s]*@)?[^@/?#,\s]+(,[^@/?#,\s]*)*"
_REDIS_URL = re.compile(
    r"rediss?://\S*|unix://\S*/\S+"
    rf"|rediss?\+sentinel://{_HOSTS}/[^/?\s]\S*"
    rf"|rediss?\+cluster://{_HOSTS}([/?]\S*)?"
)
_QUEUE_URL = re.compile(r"amqps?://\S+")
_STORAGE_URL = re.compile(r"file:///\S.*|s3a?://[^/\s]+\S*")

_HOST = re.compile(r"\*|(\*\.)?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?")
_ORIGIN = re.compile(r"https?://[a-z0-9.\-\[\]:]+")

_REDIS_FORMS = (
    "redis://host:port, rediss://…, unix:///path, redis+sentinel://host:port,host:port/service "
    "or redis+cluster://host:port,host:port"
)


def _number(given: object) -> object:
    """The number that a text is; anything else as it came."""
    text = given.strip() if isinstance(given, str) else ""
    return int(text) if text.isascii() and text.isdecimal() else given


def _redis_url(url: str) -> str:
    if url and not (_REDIS_URL.fullmatch(url) and _has_a_port(url)):
        raise ValueError(f"must be {_REDIS_FORMS}")
    return url


def _queue_url(url: str) -> str:
    # Several of RabbitMQ stand one behind the other.
    for one in url.split(";") if url.startswith("amqp") else filter(None, [url]):
        if not ((_REDIS_URL.fullmatch(one) or _QUEUE_URL.fullmatch(one)) and _has_a_port(one)):
            raise ValueError(f"must be {_REDIS_FORMS}, or amqp://host:port")
    return url


def _storage_url(url: str) -> str:
    if url and not _STORAGE_URL.fullmatch(url):
        raise ValueError("must be file:///folder or s3://bucket/prefix")
    return url


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if url and not (parts.scheme in {"http", "https"} and parts.hostname and _has_a_port(url)):
        raise ValueError("must be an address such as https://voice.example")
    return url


def _networks(text: str) -> str:
    for one in listed(text):
        ipaddress.ip_network(one)
    return text


def _hosts(text: str) -> str:
    for one in listed(text):
        if not _HOST.fullmatch(one):
            raise ValueError(f"{one!r} is no host; write it without scheme and port, in small letters")
    return text


def _origins(text: str) -> str:
    for one in listed(text):
        if not _ORIGIN.fullmatch(one):
            raise ValueError(f"{one!r} is no origin; write it as https://app.example, in small letters")
    return text


def listed(text: str) -> list[str]:
    """What stands between commas."""
    return [one for part in text.split(",") if (one := part.strip())]


def _has_a_port(url: str) -> bool:
    """Whether its port, where it has one, is a number that a port may have."""
    parts = urlsplit(url)
    if "," in parts.netloc or parts.scheme == "unix":
        return True
    try:
        return parts.port != 0
    except ValueError:
        return False


SampleRate = Annotated[Literal[24000, 44100], BeforeValidator(_number)]
Kilobits = Annotated[Literal[32, 40, 48, 56, 64, 80, 96, 112, 128, 160], BeforeValidator(_number)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
QueueUrl = Annotated[str, AfterValidator(_queue_url)]
StorageUrl = Annotated[str, AfterValidator(_storage_url)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Networks = Annotated[str, AfterValidator(_networks)]
Hosts = Annotated[str, AfterValidator(_hosts)]
Origins = Annotated[str, AfterValidator(_origins)]
