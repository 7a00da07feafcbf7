"""Rules are pure: no clock, no randomness, no network. Each module is imported alone in a fresh interpreter, and its source is read."""

from __future__ import annotations

import ast
from pathlib import Path

from fresh import brought_by
from tables import each

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
"""A pure module must not import any of these, not even indirectly. (`holidays` itself imports `socket`, through `email`.)"""
FORBIDDEN = {"time", "random", "secrets", "uuid", "os", "socket", "subprocess", "threading", "asyncio", "logging", "requests"}
"""A pure module must not import these itself. (Every interpreter imports `time` when it starts.)"""


def test_pure_module_imports_no_network_module():
    found = brought_by((f"agents.coordination.{module}" for module in PURE), WIRE, preloaded=("msgspec", "holidays"))

    wrong = [f"{module} brings {', '.join(brought)}" for module, brought in found.items() if brought]
    assert not wrong, "\n".join(wrong)


@each("module", PURE)
def test_pure_module_uses_no_clock_and_no_randomness(module):
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
