"""Rules are pure: no clock, no chance, no wire. Each module is imported alone in a fresh interpreter and looked at."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "agents" / "coordination"
ADAPTERS = {"agent", "commands", "loading", "__init__"}
PURE = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py") if path.stem not in ADAPTERS)

WIRE = (
    "aiokafka",
    "faust",
    "mode",
    "aiohttp",
    "fastavro",
    "structlog",
    "prometheus_client",
    "uvloop",
    "typer",
    "asyncio",
    "ssl",
    "sqlite3",
)
"""Nothing of this may come with a pure module, not even through what it rests on. (`holidays` itself imports `socket`, through `email`.)"""
FORBIDDEN = {"time", "random", "secrets", "uuid", "os", "socket", "subprocess", "threading", "asyncio", "logging", "requests"}
"""No pure module may name these itself. (`time` alone is in every interpreter, through its own start.)"""


@pytest.mark.parametrize("module", PURE)
def test_pure_module_brings_no_wire_with_it(module):
    script = f"import sys, agents.coordination.{module}; print(' '.join(m for m in {WIRE!r} if m in sys.modules))"
    environment = {"PYTHONPATH": str(PACKAGE.parents[1]), "PATH": os.environ.get("PATH", "")}
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(PACKAGE.parents[1])!r}); {script}"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("module", PURE)
def test_pure_module_asks_no_clock_and_no_chance(module):
    tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text())
    named: set[str] = set()
    calls: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Attribute):
            calls.add(node.attr)
    assert not named & FORBIDDEN
    assert not calls & {"now", "utcnow", "today", "getenv", "environ"}
