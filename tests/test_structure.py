"""How the program is cut: no import cycles, no long modules, nothing written twice."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = [path for part in ("app", "workers", "smartvoice") for path in sorted((ROOT / part).rglob("*.py"))]
SCRIPTS = sorted((ROOT / "static/js").rglob("*.js"))
MAX_LENGTH = 400
LONG: dict[str, str] = {
    "static/js/messages/en.js": "a catalogue: a line for each text, fetched in one piece",
    "static/js/messages/zh-CN.js": "the same in Chinese",
}
"""Modules that are longer, with the reason why they are not to be cut."""
BLOCK = 10


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, known: set[str]) -> set[str]:
    """The modules of ours that this one needs to be loaded."""
    found: set[str] = set()
    for node in loaded(ast.parse(path.read_text()).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            # What is asked of a package may be a module in it.
            found |= (inner & known) or {node.module}
    return found & known - {name_of(path)}


def loaded(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """What is done when a module loads: not within functions, nor for types alone."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from loaded(node.body)


def test_modules_load_without_going_round_in_circles() -> None:
    known = {name_of(path) for path in PYTHON}
    graph = {name_of(path): imports(path, known) for path in PYTHON}
    assert "app.core.settings" in graph["app.main"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(circle.args[1]))


def package_of(module: str, packages: set[str]) -> str:
    """The package that a module lies in; a module that lies beside packages stands for itself."""
    if module in packages:
        return module
    parent = module.rpartition(".")[0]
    return module if parent in {"", "app", "workers", "smartvoice"} else parent


def test_packages_do_not_import_each_other_in_circles() -> None:
    known = {name_of(path) for path in PYTHON}
    packages = {name_of(path) for path in PYTHON if path.name == "__init__.py"}
    graph: defaultdict[str, set[str]] = defaultdict(set)
    for path in PYTHON:
        package = package_of(name_of(path), packages)
        graph[package] |= {package_of(one, packages) for one in imports(path, known)} - {package}
    assert "app.core.redis" in graph["app.core.eventlog"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(circle.args[1]))


def test_no_module_is_longer_than_one_can_keep_in_mind() -> None:
    long = {
        str(path.relative_to(ROOT)) for path in [*PYTHON, *SCRIPTS] if len(path.read_text().splitlines()) > MAX_LENGTH
    }
    assert long == LONG.keys()
    assert all(LONG.values())


@pytest.mark.parametrize("paths", [PYTHON, SCRIPTS], ids=["python", "javascript"])
def test_nothing_is_written_twice(paths: list[Path]) -> None:
    found: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for path in paths:
        if path.parent.name == "messages":
            continue  # The languages say the same under the same keys.
        for start, block in blocks(path):
            found[block].append(f"{path.relative_to(ROOT)}:{start}")
    twice = [places for places in found.values() if len(places) > 1]
    assert not twice, twice[0]


def blocks(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each run of ten lines that say something, with its place; imports say nothing of their own."""
    lines = [(number, line.strip()) for number, line in enumerate(path.read_text().splitlines(), 1)]
    telling = [one for one in lines if one[1] and not one[1].startswith(("import ", "from ", "#", "//"))]
    for first in range(len(telling) - BLOCK + 1):
        run = telling[first : first + BLOCK]
        yield run[0][0], tuple(text for _, text in run)


def test_the_checks_would_find_something(tmp_path: Path) -> None:
    copy = tmp_path / "copy.py"
    copy.write_text("\n".join(f"line({number})" for number in range(BLOCK)))
    assert len(list(blocks(copy))) == 1
    assert imports(ROOT / "app/main.py", {"app.main", "app.routes"}) == {"app.routes"}
