"""Settings from files: a folder with one file for each, as systemd's credentials and containers' secrets are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource

_CREDENTIALS = "CREDENTIALS_DIRECTORY"  # systemd.exec(5), "Credentials"


def check_owner(file: Path) -> None:
    """Raises ValueError where `file` is another account's: who starts SmartVoice in somebody's folder did not ask for
    their settings, which may send texts and keys elsewhere. Root's count, and with sudo those of whoever called it."""
    try:
        owner = file.stat().st_uid
    except FileNotFoundError:
        return
    ours = {0, os.geteuid(), *([int(os.environ["SUDO_UID"])] if os.environ.get("SUDO_UID", "").isdecimal() else [])}
    if owner not in ours:
        raise ValueError(f"{file.absolute()} belongs to another account: own it (chown), or start SmartVoice elsewhere")


def secret_files(
    settings: type[BaseSettings], told: Iterable[PydanticBaseSettingsSource]
) -> list[PydanticBaseSettingsSource]:
    """The files of `secrets_dir`, where one of `told` names it, else those of systemd's credentials, else nothing.

    A file is called as the variable, in capitals or not (`smartvoice_secret_key`); spaces and line ends around what it
    holds do not count. Raises ValueError where the folder was named and cannot be read.
    """
    named = next((str(given) for source in told if (given := source().get("secrets_dir"))), "")
    folder = Path(named or os.environ.get(_CREDENTIALS, ""))
    if not named and (not os.environ.get(_CREDENTIALS) or not folder.is_dir()):
        return []
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        raise ValueError(f"SMARTVOICE_SECRETS_DIR: there is no folder {named} that can be read")
    for file in folder.iterdir():
        if file.name.lower().startswith("smartvoice_") and not os.access(file, os.R_OK):
            raise ValueError(f"{file} cannot be read by this account")
    return [SecretsSettingsSource(settings, secrets_dir=folder)]
