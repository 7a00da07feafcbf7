"""The log: it contains nothing that identifies a person, whoever logs it and however."""

from __future__ import annotations

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from streams.base import logs

ROOT = Path(__file__).parents[2]
CANARY = "DOE^JANE-77001"


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    logs.configure("json", "debug", stream)
    yield stream
    root.handlers[:], level = before[0], before[1]
    root.setLevel(level)
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_line_is_json_with_time_level_and_named_fields(out):
    logs.logger("streams.shard.shard").info("shard_opened", shard=3, persons=10, seconds=0.5)
    (line,) = lines(out)
    assert (line["event"], line["level"], line["shard"], line["persons"], line["seconds"]) == ("shard_opened", "info", 3, 10, 0.5)
    assert str(line["timestamp"]).endswith("Z")


def test_field_outside_the_list_is_dropped_named_and_counted(out):
    before = logs.ALLOWED.dropped
    logs.logger("agents.coordination").warning("event_refused", patient=CANARY, code="field-missing")
    (line,) = lines(out)
    assert CANARY not in out.getvalue()
    assert (line["dropped"], line["code"]) == (["patient"], "field-missing")
    assert logs.ALLOWED.dropped == before + 1


def test_exception_is_logged_with_class_and_locations_but_never_its_text(out):
    try:
        int(CANARY)
    except ValueError:
        logs.logger("streams.x").exception("rule_failed", rule="TCM-1")
    (line,) = lines(out)
    assert CANARY not in out.getvalue()
    assert line["exception"] == "ValueError"
    assert "test_exception_is_logged_with_class" in str(line["places"])


@pytest.mark.parametrize("library", ["faust.app", "mode.services", "aiokafka.consumer", "aiohttp.access", "some.other"])
def test_library_message_loses_its_values(out, library):
    logging.getLogger(library).error("cannot decode value %r at %s", CANARY, 17)
    (line,) = lines(out)
    assert CANARY not in out.getvalue()
    assert (line["logger"], line["message"]) == (library, "cannot decode value %r at %s")


def test_library_message_that_was_put_together_before_is_not_shown(out):
    logging.getLogger("aiokafka").error(f"bad record {{'name': '{CANARY}'}}")  # noqa: G004
    assert CANARY not in out.getvalue()


def test_library_exception_loses_its_text(out):
    try:
        {}[CANARY]
    except KeyError:
        logging.getLogger("faust").exception("agent raised")
    assert CANARY not in out.getvalue()
    assert lines(out)[0]["exception"] == "KeyError"


def test_libraries_stay_above_debug(out):
    for library in ("faust", "mode", "aiokafka"):
        assert not logging.getLogger(library).isEnabledFor(logging.DEBUG)
        assert not logging.getLogger(f"{library}.deep.inside").isEnabledFor(logging.DEBUG)


def test_structure_in_an_allowed_field_is_only_named(out):
    logs.logger("streams.x").info("odd", reason={"name": CANARY}, topics=["a", {"name": CANARY}])
    assert CANARY not in out.getvalue()


def test_each_field_has_a_meaning():
    assert all(logs.FIELDS.values())


def test_each_field_that_our_code_logs_is_in_the_list():
    methods = {"debug", "info", "warning", "error", "exception", "critical"}
    unlisted = []
    for path in [*(ROOT / "streams").rglob("*.py"), *(ROOT / "agents").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=method), keywords=keywords) if method in methods:
                    names = {keyword.arg for keyword in keywords} - {"exc_info", None}
                    unlisted += [f"{path.name}:{node.lineno} {name}" for name in sorted(names - set(logs.FIELDS))]
    assert unlisted == []
