"""What the frame rests on: names inside Faust and aiokafka, their compiled extensions, and the versions that were pinned."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from streams.kafka.faust_app import missing_extensions
from streams.kafka.faust_transport import RESTS_ON, Assignor, BatchConsumer

ROOT = Path(__file__).parents[2]
PINNED = [
    (name, pinned)
    for requirement in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for name, equals, pinned in [re.match(r"([\w-]+)(==)?([\w.]*)", requirement).groups()]
    if equals
]


@pytest.mark.parametrize(("place", "name"), [(place, name) for place, names in RESTS_ON.items() for name in names])
def test_every_private_name_that_the_frame_rests_on_is_there(place, name):
    module, _, kind = place.partition(":")

    owner = getattr(importlib.import_module(module), kind)

    # Some are set in __init__, and only its source says so.
    assert hasattr(owner, name) or f"self.{name}" in inspect.getsource(owner)


def test_every_private_name_that_the_transport_uses_is_listed():
    source = (ROOT / "streams" / "kafka" / "faust_transport.py").read_text()
    used = set(re.findall(r"(?:fetcher|result|consumer|_subscriptions|self\.consumer)\.(_[a-z]\w+)", source))
    own = set(re.findall(r"def (_[a-z]\w+)", source)) | set(re.findall(r"^ {4}(_[a-z]\w+)\b.*[:=]", source, re.MULTILINE))

    listed = {name for names in RESTS_ON.values() for name in names}

    assert used - own - listed == set()


def test_what_is_overridden_is_overridden_and_not_beside_it():
    for name in ("getmany", "perform_seek", "on_partitions_revoked", "_new_consumer_thread", "ack", "_commit"):
        assert name in vars(BatchConsumer), name
        assert any(name in vars(base) for base in BatchConsumer.__mro__[1:]), name
    assert any("_group_co_subscribed" in vars(base) for base in Assignor.__mro__[1:])


def test_the_versions_that_the_frame_was_proven_with_are_installed():
    assert {"faust-streaming", "mode-streaming", "aiokafka", "fastavro"} <= {name for name, _ in PINNED}
    assert {name: version(name) for name, _ in PINNED} == dict(PINNED)


def test_the_compiled_extensions_are_there():
    assert missing_extensions() == []


def test_a_start_without_compiled_extensions_is_noticed():
    code = "import sys; sys.modules['aiokafka.record._crecords'] = None; from streams.kafka.faust_app import missing_extensions; print(missing_extensions())"

    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env={"AIOKAFKA_NO_EXTENSIONS": "1"}
    )

    assert said.stdout.strip() == "['aiokafka']"
