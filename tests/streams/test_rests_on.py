"""The internals of Faust and aiokafka that the code uses: private names, compiled extensions, and the pinned versions."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from tables import each

from streams.kafka.faust_app import missing_extensions
from streams.kafka.faust_transport import Assignor, BatchConsumer

ROOT = Path(__file__).parents[2]
PINNED = [
    (name, pinned)
    for requirement in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for name, equals, pinned in [re.match(r"([\w-]+)(==)?([\w.]*)", requirement).groups()]
    if equals
]


TRANSPORT, FETCHER, OPENING, APP = (f"streams/kafka/{name}.py" for name in ("faust_transport", "fetcher", "opening", "faust_app"))
FETCHED = "tests/streams/test_fetcher.py"
RESTS_ON: Mapping[str, Mapping[str, Sequence[str]]] = {
    "faust.transport.drivers.aiokafka:Consumer": {
        "getmany": [TRANSPORT],
        "perform_seek": [TRANSPORT],
        "on_partitions_revoked": [TRANSPORT],
        "ack": [TRANSPORT],
        "_new_consumer_thread": [TRANSPORT],
        "_thread": [TRANSPORT],
    },
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread": {
        "thread_loop": [TRANSPORT],
        "_create_worker_consumer": [TRANSPORT],
        "_ensure_consumer": [TRANSPORT, FETCHED],
    },
    "faust.transport.consumer:Consumer": {
        "flow_active": [TRANSPORT],
        "_commit": [TRANSPORT],
        "_get_active_partitions": [TRANSPORT],
        "_read_offset": [TRANSPORT],
        "_unacked_messages": [TRANSPORT],
    },
    "faust.assignor.partition_assignor:PartitionAssignor": {"_group_co_subscribed": [TRANSPORT]},
    "mode.worker:Worker": {"_schedule_shutdown": [APP]},
    "faust.worker:Worker": {"spinner": [APP]},
    "aiokafka.consumer.consumer:AIOKafkaConsumer": {
        "_closed": [TRANSPORT],
        "_fetcher": [TRANSPORT, OPENING],
        "_subscription": [TRANSPORT],
    },
    "aiokafka.consumer.fetcher:Fetcher": {
        "_closed": [TRANSPORT],
        "_create_fetch_waiter": [TRANSPORT, OPENING],
        "_fetch_max_wait_ms": [TRANSPORT],
        "_notify": [FETCHER],
        "_proc_fetch_request": [FETCHED],
        "_records": [FETCHER],
        "_select_read_replica": [FETCHED],
        "_subscriptions": [FETCHER],
        "_wait_consume_future": [FETCHER],
        "_get_actions_per_node": [],
        "seek_to": [],
        "end_offsets": [],
    },
    "aiokafka.consumer.fetcher:FetchResult": {
        "getall": [FETCHER],
        "has_more": [FETCHER],
        "check_assignment": [FETCHER],
        "_assignment": [FETCHER],
        "_partition_records": [FETCHER],
    },
    "aiokafka.consumer.fetcher:PartitionRecords": {"_consumer_record": [FETCHER], "_unpack_records": []},
    "aiokafka.consumer.subscription_state:SubscriptionState": {
        "is_assigned": [FETCHER],
        "fetch_context": [TRANSPORT],
        "fetcher_idle_time": [],
    },
    "fastavro:read": {"_read": [APP]},
    "prometheus_client.metrics:MetricWrapperBase": {"_labelnames": ["streams/base/metrics.py"]},
}
"""The internals of libraries that the code uses, {owner: {name: files that use it}}, with names without an underscore that are
not documented. A name without files is not used itself, but the used ones depend on it.
"""

PUBLIC = {"_abc_impl", "_asdict", "_exit", "_fields", "_replace"}
"""Names of the standard library that are public in spite of the underscore, or that every abstract class has."""
LIBRARIES = ("aiokafka", "faust", "mode")


@each(("place", "name"), [(place, name) for place, names in RESTS_ON.items() for name in names])
def test_every_private_name_that_is_used_exists(place, name):
    module, _, kind = place.partition(":")

    owner = getattr(importlib.import_module(module), kind)

    # Some attributes are set in __init__, so only its source shows them.
    assert hasattr(owner, name) or f"self.{name}" in inspect.getsource(owner)


def is_private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def defined_in(tree: ast.AST) -> set[str]:
    """The names that a file defines: functions, classes, variables, and attributes that are assigned to self or cls."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) in {"self", "cls"}:
            names.add(node.attr)
    return names


def used_in(tree: ast.AST) -> set[str]:
    """The private names that a file uses, by attribute access, by `getattr` and the like, or by an import."""
    names: set[object] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"getattr", "setattr", "hasattr", "delattr"}:
            names |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names} | set(str(node.module).split("."))
    return {str(name) for name in names if is_private(name)}


def overridden() -> set[tuple[str, str]]:
    """The private methods of the libraries that the project's classes override."""
    found = set()
    for path in (ROOT / "streams").rglob("*.py"):
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__:
                bases = [base for base in kind.__mro__[1:] if base.__module__.partition(".")[0] in LIBRARIES]
                found |= {(file_of(path), name) for name in vars(kind) if is_private(name) and any(name in vars(base) for base in bases)}
    return found


def file_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_private_name_of_a_library_that_is_used_anywhere_is_listed_with_who_uses_it():
    trees = {path: ast.parse(path.read_text()) for top in ("streams", "agents", "bench", "tests") for path in (ROOT / top).rglob("*.py")}
    defined = {path: defined_in(tree) for path, tree in trees.items()}
    ours = set().union(*defined.values())

    used = overridden()
    for path, tree in trees.items():
        # A file of the product may use its own private names and those of its imports; tests and benchmarks may use all of the project's.
        imported = {ROOT / f"{str(node.module).replace('.', '/')}.py" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        inside = path.is_relative_to(ROOT / "streams") or path.is_relative_to(ROOT / "agents")
        own = defined[path].union(*(defined.get(other, ()) for other in imported)) if inside else ours
        used |= {(file_of(path), name) for name in used_in(tree) - own}

    listed = {(file, name) for names in RESTS_ON.values() for name, files in names.items() for file in files if is_private(name)}
    assert used - listed == set(), "used, but not listed"
    assert listed - used == set(), "listed, but not used"


def test_every_override_matches_a_method_of_the_library():
    for name in ("getmany", "perform_seek", "on_partitions_revoked", "_new_consumer_thread", "ack", "_commit"):
        assert name in vars(BatchConsumer), name
        assert any(name in vars(base) for base in BatchConsumer.__mro__[1:]), name
    assert any("_group_co_subscribed" in vars(base) for base in Assignor.__mro__[1:])


def test_the_pinned_versions_of_libraries_are_installed():
    assert {"faust-streaming", "mode-streaming", "aiokafka", "fastavro"} <= {name for name, _ in PINNED}
    assert {name: version(name) for name, _ in PINNED} == dict(PINNED)


def test_the_compiled_extensions_are_there():
    assert missing_extensions() == []


def test_a_start_without_compiled_extensions_is_reported():
    code = "import sys; sys.modules['aiokafka.record._crecords'] = None; from streams.kafka.faust_app import missing_extensions; print(missing_extensions())"

    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env={"AIOKAFKA_NO_EXTENSIONS": "1"}
    )

    assert said.stdout.strip() == "['aiokafka']"
