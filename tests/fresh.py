"""What comes with a module when it is imported alone, asked of a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]

_SCRIPT = """
import importlib, json, os, sys, traceback
root, preloaded, modules, unwanted = json.loads(sys.argv[1])
sys.path.insert(0, root)
for module in preloaded:
    importlib.import_module(module)
if brought := [name for name in unwanted if name in sys.modules]:
    sys.exit(f"{preloaded} must not be preloaded: with them come {brought}")
for module in modules:
    # A fork of an interpreter without anything of the project costs a tenth of a new interpreter.
    if not os.fork():
        try:
            importlib.import_module(module)
            brought = [name for name in unwanted if name in sys.modules]
        except BaseException:
            brought = [traceback.format_exc()]
        os.write(1, json.dumps([module, brought]).encode() + b"\\n")
        os._exit(0)
    os.wait()
"""


def brought_by(modules: Iterable[str], unwanted: Iterable[str], preloaded: Iterable[str] = ()) -> dict[str, list[str]]:
    """Import each of *modules* alone and return which of *unwanted* came with it, {module: names}.

    A module without any of them has an empty list, one that can't be imported its traceback. *preloaded* modules are imported
    first, once for all; none of *unwanted* may come with them.
    """
    given = json.dumps([str(ROOT), list(preloaded), wanted := list(modules), list(unwanted)])
    done = subprocess.run([sys.executable, "-I", "-c", _SCRIPT, given], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = dict(map(json.loads, done.stdout.splitlines()))
    lost = [module for module in wanted if module not in found]
    assert not lost, f"these ended the interpreter: {lost} {done.stderr}"
    return found
