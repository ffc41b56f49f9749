"""Reading what a request carries: bounded in size, checked, and refused with a clear problem."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from app.core.errors import BadRequest, TooLarge, Unavailable, Unprocessable, UnsupportedMedia
from app.state import State


class Body(BaseModel):
    """What a request may say; anything else in it is refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


def absent() -> Any:
    """The default of a field that may be left out but not be null; its schema then says so."""
    return None


BodyT = TypeVar("BodyT", bound=Body)


async def read_json(request: Request[State], model: type[BodyT], *, largest: int = 64 * 1024) -> BodyT:
    """The JSON body as `model`. Raises BadRequest (`bad_json`, `cut_off`), TooLarge, UnsupportedMedia,
    Unprocessable."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMedia("Send JSON with `Content-Type: application/json`.", code="not_json")
    try:
        content = b"".join([chunk async for chunk in _bounded(request, largest).stream()])
    except ClientDisconnect as error:
        raise BadRequest("The body did not come to its end.", code="cut_off") from error
    return check(model, content)


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
async def read_form(request: Request[State], largest: int) -> AsyncIterator[FormData]:
    """A multipart body; files are spooled to disk, gone with the context.

    Raises TooLarge, BadRequest (`bad_form`, `cut_off`), Unavailable (`storage_unavailable`).
    """
    form = await _form(_bounded(request, largest))
    try:
        yield form
    finally:
        await form.close()


async def _form(request: Request[State]) -> FormData:
    try:
        return await request.form(max_files=1, max_fields=20, max_part_size=64 * 1024)
    except HTTPException as error:
        raise BadRequest(f"The form cannot be read: {error.detail}", code="bad_form") from error
    except ClientDisconnect as error:
        raise BadRequest("The form did not come to its end.", code="cut_off") from error
    except OSError as error:
        raise Unavailable("There is no room for the file.", code="storage_unavailable", retry_after=60) from error


def _bounded(request: Request[State], largest: int) -> Request[State]:
    """The request, whose body is cut off with TooLarge as soon as more than `largest` bytes have come."""
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > largest:
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
