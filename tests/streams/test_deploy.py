"""The files for deployment name only existing commands, settings, topics and metrics."""

import re
from pathlib import Path

import yaml

from agents.app import AGENTS
from streams.base.metrics import Metrics
from streams.base.settings import table

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_every_metric_in_an_alert_is_one_that_a_worker_has():
    text = Metrics().text().decode()
    known = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    known |= {f"{name}{suffix}" for name in known for suffix in ("_bucket", "_sum", "_count", "_total")}
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]

    used = {name for group in groups for rule in group["rules"] for name in re.findall(r"care_[a-z_]+", rule["expr"])}

    assert used
    assert used - known == set()


def test_every_alert_has_a_summary_and_says_where_to_look():
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]

    for rule in groups[0]["rules"]:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "look"}


def test_compose_gives_settings_that_exist():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    known = {variable for variable, _, _ in table()}

    given = {name for service in compose["services"].values() for name in service.get("environment", {}) if name.startswith("CARERELAY_")}

    assert given == {"CARERELAY_KEY_SECRET"}
    assert given <= known


def test_the_image_carries_every_package_of_the_wheel():
    copied = set(re.findall(r"^COPY (\w+) ", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    pyproject = (DEPLOY.parent / "pyproject.toml").read_text()
    packages = re.search(r"packages = \[(.*)\]", pyproject)

    assert packages
    assert set(re.findall(r'"(\w+)"', packages[1])) <= copied


def test_every_agent_has_a_worker_that_is_scraped():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]

    workers = {name: service["command"] for name, service in services.items() if service.get("command", [""])[0] == "worker"}

    assert {(command[1:] or ["", "coordination"])[1] for command in workers.values()} == set(AGENTS.names)
    assert {name for config in scraped for found in config["dns_sd_configs"] for name in found["names"]} == set(workers)
