"""The `smartvoice` command: sees to it that its processes import our code and installed packages, and nothing else.

Before that it imports nothing but what Python has loaded by itself; `from __future__ import …` would load a file, too.
"""

import os
import sys

_HERE = os.path.dirname(os.path.realpath(__file__))
LIB = os.path.join(_HERE, "lib") if os.path.isdir(os.path.join(_HERE, "lib")) else os.path.dirname(_HERE)
"""The folder with `app`, `workers` and `static`: one of ours where this is installed, the checkout otherwise."""


def prepare() -> None:
    """Have this process, and those that it starts, import `app` and `workers` from LIB, and nothing by chance.

    Python looks for modules in the folder of the script, or with `-m` and `-c` in the current one, before it looks
    anywhere else. So it does for empty and relative parts of PYTHONPATH; `PYTHONPATH=$PYTHONPATH:/more` has one where
    there was none before. Whoever can write there would have their files run.
    """
    given = "" if sys.flags.ignore_environment else os.environ.get("PYTHONPATH", "")
    named = given.split(os.pathsep) if given else []
    by_chance = {os.path.abspath(part) for part in named if not os.path.isabs(part)}
    if not sys.flags.safe_path and sys.path[0] in _beginnings():
        by_chance.add(sys.path[0])
    sys.path[:] = [LIB, *(folder for folder in sys.path if folder not in {LIB, *by_chance})]
    os.environ["PYTHONPATH"] = os.pathsep.join([LIB, *(part for part in named if os.path.isabs(part) and part != LIB)])
    os.environ["PYTHONSAFEPATH"] = "1"
    if sys.flags.no_user_site:
        os.environ["PYTHONNOUSERSITE"] = "1"


def make_importable() -> None:
    """Have `app` and `workers` be found by programs that are not ours: the tests of an engine."""
    if "app" not in sys.modules and LIB not in sys.path:
        sys.path.insert(0, LIB)


def _beginnings() -> set[str]:
    """What Python may have put before all other folders: the script's, or the current one."""
    script = sys.argv[0]
    return {"", os.getcwd(), os.path.dirname(os.path.abspath(script)), os.path.dirname(os.path.realpath(script))}


def main() -> None:
    """Run what the command line asks for."""
    prepare()
    from app.cli.supported_systems import objection

    if told := objection():
        sys.exit(told)
    from app.cli.__main__ import main as command

    command()


if __name__ == "__main__":
    main()
