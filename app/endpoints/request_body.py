"""Reading what a request carries: bounded in size, checked, and refused with a clear problem."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from app.auth.identity import identity_of
from app.core.errors import BadRequest, TooLarge, Unavailable, Unprocessable, UnsupportedMedia
from app.core.keyed_semaphore import Slot
from app.core.manuscripts import text
from app.endpoints.multipart_form import Form, parse
from app.state import State

_SMALL_BYTES = 64 * 1024
_MAX_REST_SECONDS = 0.5


class Body(BaseModel):
    """What a request may say; anything else in it is refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


def absent() -> Any:
    """The default of a field that may be left out but not be null; its schema then says so."""
    return None


BodyT = TypeVar("BodyT", bound=Body)


async def read_json(request: Request[State], model: type[BodyT], *, largest: int = _SMALL_BYTES) -> BodyT:
    """The JSON body as `model`. Raises BadRequest (`bad_json`, `cut_off`), TooLarge, UnsupportedMedia, Unprocessable,
    and TooMany (`too_many_at_once`) where it may be large."""
    if kind_of(request) != "application/json":
        raise UnsupportedMedia("Send JSON with `Content-Type: application/json`.", code="not_json")
    with _in_flight(request, largest):
        try:
            async with _lent(request):
                content = b"".join([chunk async for chunk in _bounded(request, largest).stream()])
        except ClientDisconnect as error:
            raise BadRequest("The request body was truncated.", code="cut_off") from error
        if len(content) <= _SMALL_BYTES:
            return check(model, content)
        async with request.state["locks"].of(identity_of(request).user):
            return await _check_large(model, content)


async def _check_large(model: type[BodyT], content: bytes) -> BodyT:
    """`check`, which lets nobody else be served while it reads, with as long a rest afterwards."""
    began = time.perf_counter()
    try:
        return check(model, content)
    finally:
        await asyncio.sleep(min(time.perf_counter() - began, _MAX_REST_SECONDS))


async def cleaned(request: Request[State], content: str) -> str:
    """`app.core.manuscripts.text.clean`, with others served in between; one long text of a user at a time.

    Raises Unprocessable (`empty_text`).
    """
    if len(content) <= _SMALL_BYTES:
        return text.clean(content)
    async with request.state["locks"].of(identity_of(request).user):
        kept = []
        for piece in text.scrubbed_pieces(content):
            kept.append(piece)
            await asyncio.sleep(0)
        return text.readable("".join(kept))


def kind_of(request: Request[State]) -> str:
    """The media type of a body, without its parameters, in small letters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check(model: type[BodyT], content: bytes | dict[str, Any]) -> BodyT:
    """`content` as `model`. Raises BadRequest (`bad_json`), Unprocessable (`invalid`, with `errors`)."""
    try:
        return model.model_validate_json(content) if isinstance(content, bytes) else model.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        if found[0]["type"] == "json_invalid":
            raise BadRequest("The body is not JSON.", code="bad_json") from error
        errors = [{"field": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in found]
        where = f"`{errors[0]['field']}`: " if errors[0]["field"] else ""
        raise Unprocessable(f"{where}{errors[0]['message']}.", errors=errors) from error


@asynccontextmanager
async def read_form(request: Request[State], largest: int) -> AsyncIterator[Form]:
    """A multipart body within the bounds of `app.endpoints.multipart_form`; its file is on disk within the context.

    Raises TooLarge, TooMany (`too_many_at_once`), BadRequest (`bad_form`, `cut_off`), Unavailable
    (`storage_unavailable`).
    """
    with _in_flight(request, largest):
        form = await _form(_bounded(request, largest))
        try:
            yield form
        finally:
            form.close()


def _in_flight(request: Request[State], largest: int) -> AbstractContextManager[None]:
    if largest <= _SMALL_BYTES:
        return nullcontext()
    return request.state["bodies"].one(identity_of(request).user)


async def _form(request: Request[State]) -> Form:
    try:
        async with _lent(request):
            return await parse(request.headers, request.stream())
    except ClientDisconnect as error:
        raise BadRequest("The form was truncated.", code="cut_off") from error
    except OSError as error:
        raise Unavailable("There is no room for the file.", code="storage_unavailable", retry_after=60) from error


def _lent(request: Request[State]) -> AbstractAsyncContextManager[None]:
    """While the client sends, the slot that is held for this request is free for the user's others; not where so little
    is sent that it is here in a moment."""
    slot: Slot | None = request.scope.get("slot")
    length = request.headers.get("content-length", "")
    is_small = length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= _SMALL_BYTES
    return nullcontext() if slot is None or is_small else slot.lent()


def _bounded(request: Request[State], largest: int) -> Request[State]:
    """The request, whose body is cut off with TooLarge as soon as more than `largest` bytes have come."""
    told = request.headers.get("content-length", "")
    # Python takes other digits for digits as well, and refuses to read very many of them.
    if told.isascii() and told.isdigit() and (len(told) > 18 or int(told) > largest):
        raise _too_large(largest)
    come = 0

    async def receive() -> Message:
        nonlocal come
        message = await request.receive()
        come += len(message.get("body", b""))
        if come > largest:
            raise _too_large(largest)
        return message

    return Request[State](request.scope, receive)


def _too_large(largest: int) -> TooLarge:
    return TooLarge(
        f"That is more than the {largest // 1024} KiB that are allowed.", code="body_too_large", limit=largest
    )
