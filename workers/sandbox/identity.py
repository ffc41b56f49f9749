"""A user id of its own for a process that root starts, so that files and processes of ours are somebody else's."""

from __future__ import annotations

import os

# Ids that no account has: beyond those of accounts and containers; the process' own number makes each unlike others.
_FIRST = 0x70000000
_NOBODY = 65534
# chown, dac_override, setgid, setuid (capabilities(7)): without them there is no way there, or none back to the files.
_NEEDED = 0b11000011


def become_other(folder: str, needed: list[str]) -> bool:
    """Changes to a user id that nothing else has; `folder` and what lies in it become that user's.

    False, and nothing is changed, where this is not root, or where that user could not reach all of `needed`.
    """
    if os.geteuid() != 0 or not _capable():
        return False
    # What lies in the folder will be its own.
    there = [path for path in needed if os.path.exists(path) and not f"{path}/".startswith(f"{folder}/")]
    groups = os.getgroups()
    for user in (_FIRST + os.getpid(), _NOBODY):
        try:
            if _reaches(user, there, groups):
                _give(folder, user)
                _change(user, user)
                return True
        except OSError:
            continue  # a container that does not know of that id
    # A program before this one may have had an id of its own.
    _give(folder, 0)
    return False


def _capable() -> bool:
    try:
        with open("/proc/self/status") as status:
            [line] = [line for line in status if line.startswith("CapEff:")]
    except (OSError, ValueError):
        return False
    return int(line.split()[1], 16) & _NEEDED == _NEEDED


def _reaches(user: int, paths: list[str], groups: list[int]) -> bool:
    """Whether `user` can read and run what is at `paths`."""
    try:
        _change(user, 0)
        return all(os.access(path, os.R_OK | (os.X_OK if os.path.isdir(path) else 0)) for path in paths)
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


def _change(user: int, saved: int) -> None:
    os.setgroups([])
    os.setresgid(user, user, saved)
    os.setresuid(user, user, saved)


def _give(folder: str, user: int) -> None:
    """Makes `folder` and its files `user`'s; not what else a program put there, such as a second name of a file."""
    os.chown(folder, user, user)
    for entry in os.scandir(folder):
        if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_nlink == 1:
            os.chown(entry.path, user, user, follow_symlinks=False)
