"""Runs a module of ours as a program that can read our packages and nothing beside them.

`module.py PACKAGE_FOLDERS SITE_FOLDERS MODULE ARGUMENTS …`, folders separated by `:`. The folder in which our packages
lie may hold data as well, and cannot be listed from within a sandbox. So `sys.path` does not find them: they are loaded
by path.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from runpy import run_module


def load(folder: Path) -> None:
    """Makes the package in `folder` known by the folder's name."""
    spec = spec_from_file_location(folder.name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None
    assert spec.loader is not None, "a package of files"
    package = sys.modules[folder.name] = module_from_spec(spec)
    spec.loader.exec_module(package)


if __name__ == "__main__":
    _, folders, sites, name, *arguments = sys.argv
    sys.path += [site for site in sites.split(":") if site and site not in sys.path]
    for one in folders.split(":"):
        load(Path(one))
    sys.argv = [name, *arguments]
    run_module(name, run_name="__main__", alter_sys=True)
