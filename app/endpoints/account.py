"""`/api/account`: how one comes in, one's password, one's second factor."""

from __future__ import annotations

import io

import segno
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from app.auth.identity import identity_of
from app.auth.password_rules import MAX_LENGTH
from app.core.json_model import Model
from app.endpoints.browser_session import begin_session, caller_of, remember
from app.endpoints.request_body import Body, read_json
from app.http.responses import reply
from app.openapi.operation import Answer, Operation, Operations
from app.state import State

_MAX_CODE = 64


class AccountOfOwn(Model):
    """How one may come in: `password` where there is a local account; what a new password must have."""

    user: str
    name: str
    password: bool
    second_factor: bool
    recovery_codes: int
    min_password_characters: int
    max_password_characters: int


class PasswordChange(Body):
    """The present password and the new one."""

    current_password: str = Field(min_length=1, max_length=1024)
    new_password: str = Field(min_length=1, max_length=1024)


class Confirmation(Body):
    """The present password, and a code of the authenticator app or a recovery code."""

    password: str = Field(min_length=1, max_length=1024)
    code: str = Field(min_length=1, max_length=_MAX_CODE)


class Enrolment(Model):
    """What an authenticator app is told: as text, as an address (`otpauth:`), and as a picture of that (SVG)."""

    secret: str
    uri: str
    qr: str


class RecoveryCodes(Model):
    """Codes that are good for once each, shown only now."""

    recovery_codes: list[str]


async def show(request: Request[State]) -> Response:
    identity = identity_of(request)
    standing = await request.state["own_account"].standing(identity.user)
    return reply(
        AccountOfOwn(
            user=identity.user,
            name=identity.name,
            **standing._asdict(),
            min_password_characters=request.state["settings"].min_password_characters,
            max_password_characters=MAX_LENGTH,
        )
    )


async def change_password(request: Request[State]) -> Response:
    """Ends all that the user has come in with; a browser that asks stays signed in, by a new cookie."""
    asked = await read_json(request, PasswordChange)
    user = identity_of(request).user
    await request.state["own_account"].change_password(
        user, asked.current_password, asked.new_password, caller_of(request)
    )
    return await _stays(request, Response(status_code=204))


async def begin_second_factor(request: Request[State]) -> Response:
    begun = await request.state["own_account"].begin_second_factor(identity_of(request).user)
    return reply(Enrolment(secret=begun.secret, uri=begun.uri, qr=_picture(begun.uri)), 201)


async def enable_second_factor(request: Request[State]) -> Response:
    """Ends all that the user has come in with, as a new password does."""
    asked = await read_json(request, Confirmation)
    codes = await request.state["own_account"].enable_second_factor(
        identity_of(request).user, asked.password, asked.code, caller_of(request)
    )
    return await _stays(request, reply(RecoveryCodes(recovery_codes=codes)))


async def disable_second_factor(request: Request[State]) -> Response:
    """Ends all that the user has come in with, as a new password does."""
    asked = await read_json(request, Confirmation)
    await request.state["own_account"].disable_second_factor(
        identity_of(request).user, asked.password, asked.code, caller_of(request)
    )
    return await _stays(request, Response(status_code=204))


async def renew_recovery_codes(request: Request[State]) -> Response:
    asked = await read_json(request, Confirmation)
    codes = await request.state["own_account"].renew_recovery_codes(
        identity_of(request).user, asked.password, asked.code, caller_of(request)
    )
    return reply(RecoveryCodes(recovery_codes=codes))


async def _stays(request: Request[State], response: Response) -> Response:
    """The browser that asked, if it was one, is signed in anew."""
    identity = identity_of(request)
    if identity.credential.session is not None:
        await begin_session(request, response, identity.user, name=identity.name)
        await remember(request, response, identity.user)
    return response


def _picture(uri: str) -> str:
    """A QR code, black on nothing, with the border that readers need."""
    drawn = io.BytesIO()
    segno.make(uri, error="m", micro=False).save(drawn, kind="svg", xmldecl=False, svgns=True, omitsize=True)
    return drawn.getvalue().decode().strip()


_CONFIRMED = {
    403: ["wrong_password", "wrong_code"],
    429: ["too_many_sign_ins"],
    503: ["too_busy"],
}

OPERATIONS: Operations = {
    show: Operation("How one may come in", answers={200: Answer("One's account.", AccountOfOwn)}),
    change_password: Operation(
        "Change one's password",
        description="Ends one's other sessions, tokens and streams; a browser that asks gets a new session.",
        body=PasswordChange,
        answers={204: Answer("Changed.")},
        problems={
            403: ["wrong_password"],
            409: ["no_local_account"],
            422: ["weak_password", "common_password"],
            429: ["too_many_sign_ins"],
            503: ["too_busy"],
        },
    ),
    begin_second_factor: Operation(
        "Begin with a second factor",
        description="It counts once it is enabled with a code of it, within ten minutes.",
        answers={201: Answer("What an authenticator app is to be told.", Enrolment)},
        problems={409: ["no_local_account", "second_factor_enabled"]},
    ),
    enable_second_factor: Operation(
        "Turn the second factor on",
        description="Ends one's other sessions, tokens and streams; a browser that asks gets a new session.",
        body=Confirmation,
        answers={200: Answer("The codes to recover with.", RecoveryCodes)},
        problems={**_CONFIRMED, 409: ["no_local_account", "second_factor_enabled", "second_factor_not_begun"]},
    ),
    disable_second_factor: Operation(
        "Turn the second factor off",
        description="Ends one's other sessions, tokens and streams; a browser that asks gets a new session.",
        body=Confirmation,
        answers={204: Answer("It is off.")},
        problems={**_CONFIRMED, 409: ["no_local_account", "second_factor_disabled"]},
    ),
    renew_recovery_codes: Operation(
        "New recovery codes in place of the former",
        body=Confirmation,
        answers={200: Answer("The codes to recover with.", RecoveryCodes)},
        problems={**_CONFIRMED, 409: ["no_local_account", "second_factor_disabled"]},
    ),
}
