"""A Kafka that requires TLS, a user and a password: every command and the worker can connect with them, and none without them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import COMMAND, Done, clean_environment, run_command

from streams.local import LocalKafka
from streams.local.child import Child
from streams.local.jars import find_java
from streams.local.kafka import free_port

pytestmark = pytest.mark.kafka

DISCHARGE = {
    "type": "PatientDischarged",
    "id": "1",
    "source": "urn:hospital:general",
    "time": "2026-07-02T15:00:00-04:00",
    "person": {"authority": "GENERAL", "identifier": "77001"},
    "data": {"encounter": {"facility": "GENERAL", "visit": "V77001"}, "disposition": "home"},
}


@pytest.fixture(scope="module")
def locked_kafka(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings that connect to a local Kafka with SASL_SSL."""
    folder = tmp_path_factory.mktemp("locked")
    keytool = str(Path(find_java()).resolve().with_name("keytool"))
    store = ["-keystore", str(folder / "broker.p12"), "-storepass", "changeit", "-alias", "broker"]
    made = [keytool, "-genkeypair", "-keyalg", "EC", "-dname", "CN=broker", "-ext", "san=ip:127.0.0.1", "-ext", "bc=ca:true", *store]
    subprocess.run(made, capture_output=True, check=True, timeout=60)
    exported = subprocess.run([keytool, "-exportcert", "-rfc", *store], capture_output=True, check=True, timeout=60)
    (folder / "ca.pem").write_bytes(exported.stdout)
    (folder / "password").write_text("open sesame\n")
    port = free_port()
    more = {
        "listeners": f"LOCKED://127.0.0.1:{port}",
        "advertised.listeners": f"LOCKED://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOCKED:SASL_SSL",
        "listener.name.locked.ssl.keystore.type": "PKCS12",
        "listener.name.locked.ssl.keystore.location": str(folder / "broker.p12"),
        "listener.name.locked.ssl.keystore.password": "changeit",
        "listener.name.locked.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.locked.plain.sasl.jaas.config": (
            'org.apache.kafka.common.security.plain.PlainLoginModule required user_carerelay="open sesame";'
        ),
    }
    with LocalKafka(folder / "broker", jars=kafka_jars, more=more):
        yield {
            "KAFKA_BOOTSTRAP": f"127.0.0.1:{port}",
            "CARERELAY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "CARERELAY_KAFKA_SSL_CA_FILE": str(folder / "ca.pem"),
            "CARERELAY_KAFKA_SASL_MECHANISM": "PLAIN",
            "CARERELAY_KAFKA_SASL_USERNAME": "carerelay",
            "CARERELAY_KAFKA_SASL_PASSWORD_FILE": str(folder / "password"),
            "CARERELAY_PARTITIONS": "2",
            "CARERELAY_WEB_PORT": "0",
            "CARERELAY_LOG_FORMAT": "json",
            "CARERELAY_RUN_DIR": str(folder / "run"),
        }


@pytest.fixture
def environ(locked_kafka: dict[str, str]) -> dict[str, str]:
    return dict(locked_kafka)


def carerelay(environ: dict[str, str], *arguments: str) -> Done:
    return run_command(*arguments, **environ)


def test_worker_and_commands_reach_a_kafka_with_tls_and_password(environ, tmp_path):
    (tmp_path / "events.jsonl").write_text(json.dumps(DISCHARGE) + "\n")
    log = tmp_path / "worker.log"
    assert carerelay(environ, "topics", "create").code == 0
    assert carerelay(environ, "topics", "check").code == 0
    assert carerelay(environ, "play", str(tmp_path / "events.jsonl")).code == 0
    with log.open("wb") as output:
        worker = Child([*COMMAND, "worker"], output=output, env=clean_environment(**environ))
    try:
        deadline = time.monotonic() + 60
        rows: list[dict[str, object]] = []
        while time.monotonic() < deadline and not any(row["topic"] == "care.discharge.v1" and row["position"] for row in rows):
            assert worker.alive, log.read_text()
            time.sleep(0.2)
            shown = carerelay(environ, "positions", "show", "--json")
            rows = [json.loads(line) for line in shown.stdout.splitlines()]
    finally:
        worker.stop()
    assert any(row["topic"] == "care.discharge.v1" and row["position"] for row in rows), log.read_text()
    said = log.read_text()
    [opened] = [json.loads(row) for row in said.splitlines() if '"shards_opened"' in row]
    assert opened["seconds"] < 15, "it waited for the broker to answer the end of a TLS connection"
    assert "open sesame" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("wrong", ["password", "protocol", "certificate"])
def test_refused_connection_is_one_line_that_says_what_to_check(environ, tmp_path, wrong):
    if wrong == "password":
        (tmp_path / "password").write_text("open barley")
        environ["CARERELAY_KAFKA_SASL_PASSWORD_FILE"] = str(tmp_path / "password")
    elif wrong == "certificate":
        environ.pop("CARERELAY_KAFKA_SSL_CA_FILE")
    else:
        environ["CARERELAY_KAFKA_SECURITY_PROTOCOL"] = "SASL_PLAINTEXT"
        environ.pop("CARERELAY_KAFKA_SSL_CA_FILE")
    done = carerelay(environ, "topics", "check")
    assert (done.code, done.stderr.count("\n")) == (3, 1), done.stderr
    assert "check the address" in done.stderr
    assert "user and password" in done.stderr
