"""`make setup`: an incomplete environment is created again, and a missing program is reported. A fake Python records the calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "cat", "dirname", "flock", "mkdir", "rm")
MADE = """#!/bin/sh
echo "made $*" >> {log}
case "$*" in *"-e ."*) : > .venv/bin/carerelay; chmod +x .venv/bin/carerelay;; esac
"""
PYTHON = """#!/bin/sh
case "$*" in
  *ensurepip*) {venv_there};;
  "-m venv .venv") echo "venv" >> {log}; mkdir -p .venv/bin; cp {made} .venv/bin/python;;
  *) exec {real} "$@";;
esac
"""


class Clone:
    """A copy of the files that `make setup` needs, with a PATH of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clone"
        self.log = folder / "log"
        self.bin = folder / "bin"
        (self.folder / ".ci").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(ROOT / ".ci/setup", self.folder / ".ci/setup")
        (self.folder / "requirements.lock").write_text("one==1 --hash=sha256:0\n")
        (self.folder / "pyproject.toml").write_text("[project]\n")
        for tool in (*TOOLS, "cp", "chmod"):
            found = shutil.which(tool)
            if found:
                (self.bin / tool).symlink_to(found)
        self.python(venv_there="exit 0")

    def python(self, venv_there: str) -> None:
        made = self.folder.parent / "made"
        made.write_text(MADE.format(log=self.log))
        made.chmod(0o755)
        stand_in = self.bin / "python3"
        stand_in.write_text(PYTHON.format(venv_there=venv_there, log=self.log, made=made, real=sys.executable))
        stand_in.chmod(0o755)

    def setup(self) -> subprocess.CompletedProcess[str]:
        self.log.write_text("")
        env = {"PATH": str(self.bin), "HOME": os.environ.get("HOME", "/")}
        return subprocess.run([self.folder / ".ci/setup"], capture_output=True, text=True, env=env, timeout=60, check=False)

    @property
    def done(self) -> list[str]:
        return [line.split(" --", 1)[0] for line in self.log.read_text().splitlines()]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_first_run_creates_the_environment_and_the_second_does_nothing(clone):
    assert clone.setup().returncode == 0
    assert clone.done[0] == "venv"
    assert any("pip install" in line for line in clone.done)

    assert clone.setup().returncode == 0
    assert [line for line in clone.done if "pip" in line or line == "venv"] == []


@pytest.mark.parametrize("damage", ["no stamp", "other lock", "no python", "moved"])
def test_incomplete_or_outdated_environment_is_created_again(clone, damage):
    clone.setup()
    (clone.folder / ".venv/leftover").write_text("")
    match damage:
        case "no stamp":
            (clone.folder / ".venv/stamp").unlink()
        case "other lock":
            (clone.folder / "requirements.lock").write_text("two==2 --hash=sha256:0\n")
        case "no python":
            (clone.folder / ".venv/bin/python").unlink()
        case "moved":
            clone.folder = clone.folder.rename(clone.folder.parent / "elsewhere")

    assert clone.setup().returncode == 0

    assert "venv" in clone.done
    assert not (clone.folder / ".venv/leftover").exists()


def test_changed_project_is_installed_again_without_a_new_environment(clone):
    clone.setup()
    (clone.folder / "pyproject.toml").write_text("[project]\nname = 'other'\n")

    assert clone.setup().returncode == 0

    assert "venv" not in clone.done
    assert any("pip install" in line for line in clone.done)


def test_missing_venv_module_is_named_with_the_package_to_install(clone):
    clone.python(venv_there="exit 1")
    done = clone.setup()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "apt install python3-venv" in done.stderr


def test_missing_python_is_named(clone):
    (clone.bin / "python3").unlink()
    done = clone.setup()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "Python 3.11 or newer is not installed" in done.stderr


def test_lock_pins_everything_with_hashes_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text()
    packages = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
    assert packages
    assert all("==" in line and line.endswith("\\") for line in packages)
    assert "http" not in lock.replace("aiohttp", "")
    assert str(ROOT) not in lock


def test_lock_contains_all_requirements_of_the_project():

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pinned = dict(
        line.split(" ")[0].split("==") for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line and line[0] != " "
    )
    for requirement in asked:
        name, _, least = requirement.replace("==", ">=").partition(">=")
        assert name.lower() in pinned, f"make lock: {name} is not in requirements.lock"
        assert [int(p) for p in pinned[name.lower()].split(".")[:2]] >= [int(p) for p in least.split(".")[:2]], f"make lock: {requirement}"
