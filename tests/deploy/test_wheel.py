"""The wheel: one name in site-packages, and a program that runs from wherever it is started."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests import hostile_folder
from tests.e2e.sample import narrate_sample
from tests.stack import environment, started

ROOT = Path(__file__).parents[2]
SOMEBODY_ELSES = ("app", "workers", "static")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def smartvoice(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment of its own, which sees the packages of this one, and some called as our folders."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (packages / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for name in SOMEBODY_ELSES:
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text("raise SystemExit('a package of somebody else is imported')\n")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--prefix", str(folder), str(wheel)]
    subprocess.run([python, "-m", "pip", *install], check=True, env=environment({"PYTHONPATH": ""}))
    return folder / "bin" / "smartvoice"


def test_wheel_has_one_name_and_all_files(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {"smartvoice"}
    assert "smartvoice/py.typed" in names
    files = [path for part in SOMEBODY_ELSES for path in (ROOT / part).rglob("*") if path.is_file()]
    here = {f"smartvoice/lib/{path.relative_to(ROOT)}" for path in files if path.parent.name != "__pycache__"}
    assert here
    assert {name for name in names if name.startswith("smartvoice/lib/")} == here


@pytest.mark.timeout(240)
async def test_it_runs_from_a_hostile_folder_beside_packages_of_the_same_names(smartvoice: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    hostile_folder.fill(folder)
    with started([str(smartvoice)], folder, {"PYTHONPATH": ""}) as stack:
        await narrate_sample(stack)
        doctor = subprocess.run(
            [smartvoice, "doctor"], cwd=folder, env=stack.environment, capture_output=True, text=True
        )
        printed = (folder / "up.log").read_text()
        found = hostile_folder.ran(folder)
    assert doctor.returncode == 0, doctor.stdout
    assert not found
    assert "starting it again" not in printed


def test_engine_imports_its_names_wherever_it_runs(smartvoice: Path, tmp_path: Path) -> None:
    code = "import smartvoice.engines as e; print(e.Pcm(bytes(4), 2).seconds, e.JobError('a_code', 'text').code)"
    code += "; print(e.__file__)"
    python = smartvoice.with_name("python")
    done = subprocess.run([python, "-c", code], cwd=tmp_path, env=environment({"PYTHONPATH": ""}), capture_output=True)
    seconds, error, file = done.stdout.decode().split()
    assert (seconds, error) == ("1.0", "a_code")
    assert file.startswith(str(smartvoice.parents[1]))
