"""Find the modules that are imported along with a module, in a fresh interpreter."""

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
    """Import each of *modules* alone, and return which of *unwanted* were imported with it: {module: names}.

    The list is empty for a module without any of them; for a module that cannot be imported it is a traceback. *preloaded*
    modules are imported first, once for all; they must not import any of *unwanted*.
    """
    given = json.dumps([str(ROOT), list(preloaded), wanted := list(modules), list(unwanted)])
    done = subprocess.run([sys.executable, "-I", "-c", _SCRIPT, given], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = dict(map(json.loads, done.stdout.splitlines()))
    lost = [module for module in wanted if module not in found]
    assert not lost, f"the interpreter ended while it imported these: {lost} {done.stderr}"
    return found
