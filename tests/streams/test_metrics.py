"""The metrics and the worker's HTTP server."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from streams.base.metrics import SOURCES_MAX, Metrics
from streams.ops.probes import ProbeResult, Site


def test_counts_of_a_commit_are_shown_by_topic_kind_reason_and_source():
    metrics = Metrics()
    metrics.count(
        events={"care.admission.v1": 3},
        effects={"TaskState": 2},
        refused={("field-missing", "urn:hospital:a"): 1},
        failed={"KeyError": 1},
        misrouted=4,
    )
    text = metrics.text().decode()
    assert 'care_events_total{topic="care.admission.v1"} 3.0' in text
    assert 'care_effects_total{effect="TaskState"} 2.0' in text
    assert 'care_refused_total{reason="field-missing",source="urn:hospital:a"} 1.0' in text
    assert 'care_rules_failed_total{exception="KeyError"} 1.0' in text
    assert "care_misrouted_total 4.0" in text
    assert 'care_build_info{python="' in text


def test_sender_that_invents_sources_does_not_make_labels():
    metrics = Metrics()
    for n in range(SOURCES_MAX + 50):
        metrics.count(events={}, effects={}, refused={("not-avro", f"urn:{n}"): 1})
    text = metrics.text().decode()
    assert text.count('care_refused_total{reason="not-avro"') == SOURCES_MAX + 1
    assert 'care_refused_total{reason="not-avro",source="other"} 50.0' in text
    assert metrics.source("urn:3") == "urn:3"


def test_every_metric_has_the_prefix_and_a_meaning():
    for family in Metrics().registry.collect():
        assert family.name.startswith("care_")
        assert family.documentation.endswith(".")


@pytest.mark.parametrize(
    ("path", "passes", "status"), [("/healthz", True, 200), ("/healthz", False, 503), ("/readyz", True, 200), ("/readyz", False, 503)]
)
async def test_probe_answers_with_its_result(path, passes, status):
    probed = ProbeResult(passes, "3 of 3 shards open")
    other = ProbeResult(not passes, "the other one")
    health, readiness = (probed, other) if path == "/healthz" else (other, probed)
    site = Site("127.0.0.1", 0, metrics=lambda: b"", health=lambda: health, readiness=lambda: readiness)
    address = await site.start()
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as response:
            assert (response.status, await response.text()) == (status, "3 of 3 shards open\n")
    finally:
        await site.stop()


async def test_metrics_are_served_as_text_on_loopback():
    metrics = Metrics()
    site = Site("127.0.0.1", 0, metrics=metrics.text, health=lambda: ProbeResult(True, ""), readiness=lambda: ProbeResult(True, ""))
    address = await site.start()
    try:
        assert address.startswith("127.0.0.1:")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/metrics") as response:
                assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                assert "care_commit_seconds_bucket" in await response.text()
            async with session.get(f"http://{address}/table/persons") as response:
                assert response.status == 404
    finally:
        await site.stop()


async def test_port_in_use_is_an_error_that_leaves_nothing_running():
    def site(port: int) -> Site:
        return Site("127.0.0.1", port, metrics=lambda: b"", health=lambda: ProbeResult(True, ""), readiness=lambda: ProbeResult(True, ""))

    first = site(0)
    port = int((await first.start()).split(":")[1])
    try:
        with pytest.raises(OSError, match="in use"):
            await site(port).start()
    finally:
        await first.stop()


def test_the_document_is_the_table():
    document = Path(__file__).parents[2] / "docs" / "metrics.md"

    assert document.read_text(encoding="utf-8") == Metrics().document()


def test_every_series_is_one_of_the_documented_metrics():
    metrics = Metrics()
    metrics.count(events={"care.admission.v1": 1}, effects={"TaskState": 1}, refused={("not-avro", "s"): 1})
    names = {line.split("{")[0].split(" ")[0] for line in metrics.text().decode().splitlines() if not line.startswith("#")}
    bare = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in names}
    assert {name for name in bare if f"`{name}`" not in metrics.document()} == set()
