"""The `smartvoice` command: what it can be told, and where each of it is done."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

from app.core.errors import Problem
from app.core.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    # A traceback that shows local variables shows secrets.
    pretty_exceptions_enable=False,
    help="Manuscripts in, narrated audio out, live.",
)
users = typer.Typer(no_args_is_help=True, help="Local accounts.")
app.add_typer(users, name="user")
keys = typer.Typer(no_args_is_help=True, help="The keys that sign tokens.")
app.add_typer(keys, name="key")

errors = Console(stderr=True)

T = TypeVar("T")

_TTL = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@app.command()
def up(
    port: Annotated[int | None, typer.Option(help="Port of the web side.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where everything is kept.")] = None,
    web_processes: Annotated[int | None, typer.Option(min=1)] = None,
    worker_processes: Annotated[int | None, typer.Option(min=1)] = None,
    user: Annotated[str, typer.Option(help="Whom the sign-in link signs in.")] = "admin",
    sample: Annotated[bool, typer.Option("--sample", help="Add a sample project where there is none.")] = False,
) -> None:
    """Starts everything: Redis where none is named, the web side, workers. Ctrl-C stops all of it."""
    from app.cli import up as upping

    settings = _settings(port=port, data_dir=data_dir, web_processes=web_processes, worker_processes=worker_processes)
    raise typer.Exit(asyncio.run(upping.run(settings, user=user, sample=sample)))


@app.command()
def web(port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None) -> None:
    """Starts the web side alone."""
    from app.cli.web import serve_web

    serve_web(_settings(port=port))


@app.command()
def worker(
    processes: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
) -> None:
    """Starts workers alone."""
    from app.cli.worker import work

    # Not by their settings: those say how many this machine has, of which a supervisor may start each by itself.
    raise typer.Exit(work(processes or _settings().worker_processes))


@app.command()
def token(
    user: Annotated[str, typer.Argument(help="Whom the token stands for.")],
    ttl: Annotated[str, typer.Option(help="How long it holds: 90s, 30m, 1h, 7d.")] = "1h",
) -> None:
    """Prints a bearer token."""
    from app.auth.accounts import check_name
    from app.auth.bearer_tokens import Tokens
    from app.auth.keyring import Keyring

    match = _TTL.fullmatch(ttl)
    if not match:
        _fail(f"{ttl!r} is no time: write 90s, 30m, 1h or 7d.")
    settings = _settings()
    if not settings.secret_key.get_secret_value() and not settings.key_file.exists():
        _fail(
            f"There is no key in {settings.data_dir.absolute()} to sign with. Run this where `smartvoice up` runs, "
            "or set SMARTVOICE_DATA_DIR or SMARTVOICE_SECRET_KEY as it does there."
        )
    try:
        check_name(user)
    except Problem as problem:
        _fail(problem.detail)
    print(Tokens(Keyring.of(settings)).sign(user, int(match[1]) * _SECONDS[match[2]]))


PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")]


@users.command("add")
def user_add(name: str, password_stdin: PasswordStdin = False) -> None:
    """Adds a local account; asks for its password."""
    from app.cli.instance_lock import address_of
    from app.cli.users import add

    _run(add(_settings(), name, _password(password_stdin)))
    errors.print(f"[green]Added[/] {name}. They sign in at {address_of(_settings())}/signin")


@users.command("passwd")
def user_passwd(name: str, password_stdin: PasswordStdin = False) -> None:
    """Gives an account another password, and signs its user out everywhere."""
    from app.cli.users import set_password

    _run(set_password(_settings(), name, _password(password_stdin)))
    errors.print(f"[green]Changed[/]. {name} is signed out everywhere; tokens issued before hold no longer.")


@users.command("disable")
def user_disable(name: str) -> None:
    """Signs a user out everywhere and lets them in no more, whatever they come with."""
    from app.cli.users import disable

    known = _run(disable(_settings(), name))
    errors.print(f"[green]Disabled[/] {name}." + ("" if known else " (There is no local account of that name.)"))


@users.command("enable")
def user_enable(name: str) -> None:
    """Lets a disabled user in again."""
    from app.cli.users import enable

    changed = _run(enable(_settings(), name))
    errors.print(f"[green]Enabled[/] {name}." if changed else f"{name} was not disabled.")


@users.command("remove")
def user_remove(
    name: str, yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False
) -> None:
    """Removes an account, and deletes all projects of its user with their files."""
    from app.cli.users import projects_of, remove

    settings = _settings()
    found = _run(projects_of(settings, name))
    if not yes:
        typer.confirm(f"Remove {name} and delete {found} projects for good?", abort=True, err=True)
    _run(remove(settings, name))
    errors.print(f"[green]Removed[/] {name} and {found} projects.")


@users.command("reset-second-factor")
def user_reset_second_factor(name: str) -> None:
    """Takes the second factor away from who has lost it, and signs them out everywhere."""
    from app.cli.users import reset_second_factor

    removed = _run(reset_second_factor(_settings(), name))
    errors.print(f"[green]Taken away[/]; {name} is signed out everywhere." if removed else f"{name} has none.")


@users.command("list")
def user_list() -> None:
    """Shows all local accounts."""
    from app.cli.users import all_accounts

    for account in _run(all_accounts(_settings())):
        print(f"{account.name}\t{'disabled' if account.disabled else 'enabled'}\t{account.created_at}")


@users.command("link")
def user_link(name: str) -> None:
    """Prints a link that signs a user in once, for who cannot sign in otherwise."""
    from app.cli.users import link

    print(_run(link(_settings(), name)))


@keys.command("list")
def key_list() -> None:
    """Shows what the keys are called, the one that signs first."""
    from app.core.keyfile import key_id

    settings = _settings()
    if not settings.secret_key.get_secret_value():
        _kept_keys()
    for number, key in enumerate(settings.own_keys()):
        print(f"{key_id(key)} {'verifies' if number else 'signs'}")


@keys.command("rotate")
def key_rotate() -> None:
    """Makes a new key that signs from now on; tokens of the former hold until it is removed."""
    from app.core.keyfile import key_id, rotate

    signing, *former = rotate(_kept_keys())
    errors.print(f"[green]{key_id(signing)}[/] signs from now on.", highlight=False)
    if former:
        names = " ".join(key_id(key) for key in former)
        errors.print(f"Still verifying, until `smartvoice key remove`: {names}", highlight=False)


@keys.command("remove")
def key_remove(id: Annotated[str, typer.Argument(help="What the key is called.")]) -> None:
    """Takes a former key away: tokens that it signed hold no longer."""
    from app.core.keyfile import remove

    if not remove(_kept_keys(), id):
        _fail(f"There is no former key {id}; see `smartvoice key list`.")
    errors.print(f"[green]Removed[/] {id}.", highlight=False)


Server = Annotated[str | None, typer.Option(envvar="SMARTVOICE_SERVER", help="Address of a SmartVoice that runs.")]
Token = Annotated[str | None, typer.Option(envvar="SMARTVOICE_TOKEN", help="A bearer token for it.")]
Json = Annotated[bool, typer.Option("--json", help="A line of JSON for each event, on stdout.")]


@app.command()
def narrate(
    manuscript: Annotated[Path, typer.Argument(help="txt, md, epub, docx, odt, html, fb2 or rtf.", metavar="FILE")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Where the files go; else a folder of its name.")] = (
        None
    ),
    server: Server = None,
    token: Token = None,
    voice: Annotated[str | None, typer.Option(help="See `smartvoice voices`.")] = None,
    language: Annotated[str | None, typer.Option(help="zh-CN or en; else as the text shows.")] = None,
    book: Annotated[str | None, typer.Option(help="Also the whole book: m4b or zip.")] = None,
    chapters: Annotated[str | None, typer.Option(help="Some chapters alone: 3-5,8.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where its own SmartVoice keeps everything.")] = None,
    json_lines: Json = False,
) -> None:
    """Turns a manuscript into mp3s and, with --book, into a book. Run it again to go on where it stopped.

    Without --server it starts a SmartVoice of its own, and stops it at the end. Exit status: 0 all is there, 1 some of
    it failed, 2 it cannot be done as asked, 3 no SmartVoice to be reached or started, 130 Ctrl-C.
    """
    from app.cli.server_connection import run

    asked = {"voice": voice, "language": language, "book": book, "chapters": chapters}
    raise typer.Exit(run(manuscript, out, server, token, asked, data_dir, json_lines))


@app.command()
def watch(
    project: Annotated[list[str] | None, typer.Option(help="Only this project; may be given again.")] = None,
    server: Server = None,
    token: Token = None,
    json_lines: Json = False,
) -> None:
    """Prints the live events of whom the token stands for, until Ctrl-C; by default of `admin` on this machine."""
    from app.cli.server_connection import run_watch

    raise typer.Exit(run_watch(project or [], server, token, json_lines))


@app.command()
def voices(
    language: Annotated[str | None, typer.Option(help="Only those of a language, such as en or zh-CN.")] = None,
    server: Server = None,
    token: Token = None,
) -> None:
    """Lists the voices: id, language, name."""
    from app.cli.server_connection import run_voices

    raise typer.Exit(run_voices(language, server, token))


@app.command()
def doctor() -> None:
    """Checks Redis, storage, workers and voices, and says what to do about what is wrong."""
    from app.cli.doctor import examine

    raise typer.Exit(0 if asyncio.run(examine(_settings())) else 1)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns; what is wrong is said."""
    from app.core.telemetry.logs import configure_logs

    configure_logs()
    try:
        return asyncio.run(work)
    except Problem as problem:
        _fail(problem.detail)


def _kept_keys() -> Path:
    settings = _settings()
    if settings.secret_key.get_secret_value():
        _fail(
            "The key is set by SMARTVOICE_SECRET_KEY: set a new one there, put the former into "
            "SMARTVOICE_OLD_SECRET_KEYS, and start SmartVoice again."
        )
    if not settings.key_file.exists():
        _fail(f"There is no key in {settings.data_dir.absolute()}; set SMARTVOICE_DATA_DIR as `smartvoice up` has it.")
    return settings.key_file


def _settings(**given: object) -> Settings:
    """The settings, with what was given on the command line; processes started from here see the same."""
    from app.cli.command_settings import fault_of, settings_with

    try:
        return settings_with(**given)
    except (ValueError, OSError) as error:
        _fail(fault_of(error))


def _fail(message: str) -> NoReturn:
    errors.print(message, style="red", markup=False, highlight=False)
    raise typer.Exit(2)
