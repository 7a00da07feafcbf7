"""How clients connect to Kafka: the settings for TLS and SASL reach every client, and incomplete settings are an error."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from streams.base.settings import Settings, SettingsError, read_settings, security_variables, without_security
from streams.kafka.connection import connection_of
from streams.kafka.faust_app import _credentials
from streams.local.jars import find_java

KAFKA = "CARERELAY_KAFKA_"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate as PEM, made by Java's keytool."""
    folder = tmp_path_factory.mktemp("tls")
    keytool, store = Path(find_java()).resolve().with_name("keytool"), ["-keystore", str(folder / "store.p12"), "-storepass", "changeit"]
    for arguments in (
        ["-genkeypair", "-alias", "kafka", "-keyalg", "EC", "-dname", "CN=kafka", "-ext", "bc=ca:true"],
        ["-exportcert", "-rfc", "-alias", "kafka"],
    ):
        done = subprocess.run([str(keytool), *arguments, *store], capture_output=True, check=True, timeout=60)
    (folder / "ca.pem").write_bytes(done.stdout)
    return folder / "ca.pem"


@pytest.fixture
def password(tmp_path: Path) -> str:
    (tmp_path / "password").write_text("pass word \n")
    return str(tmp_path / "password")


def sasl(password: str, protocol: str = "SASL_PLAINTEXT") -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP": "a:9092,b:9093",
        f"{KAFKA}SECURITY_PROTOCOL": protocol,
        f"{KAFKA}SASL_MECHANISM": "SCRAM-SHA-512",
        f"{KAFKA}SASL_USERNAME": "carerelay",
        f"{KAFKA}SASL_PASSWORD_FILE": password,
    }


def test_without_settings_kafka_is_reached_in_clear():
    assert connection_of(read_settings({"KAFKA_BOOTSTRAP": "a:9092"})) == {"bootstrap_servers": "a:9092"}


def test_user_and_password_reach_the_clients(password):
    assert connection_of(read_settings(sasl(password))) == {
        "bootstrap_servers": "a:9092,b:9093",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "carerelay",
        "sasl_plain_password": "pass word ",
    }


def test_tls_verifies_the_certificate_and_the_name_of_the_broker(certificate):
    kafka = connection_of(read_settings({f"{KAFKA}SECURITY_PROTOCOL": "SSL", f"{KAFKA}SSL_CA_FILE": str(certificate)}))

    assert kafka["security_protocol"] == "SSL"
    assert kafka["ssl_context"].verify_mode == ssl.CERT_REQUIRED
    assert kafka["ssl_context"].check_hostname
    assert len(kafka["ssl_context"].get_ca_certs()) == 1


def test_faust_gets_the_same_settings(password, certificate):
    assert _credentials(connection_of(Settings(bootstrap="a:9092"))) is None
    clear = _credentials(connection_of(read_settings(sasl(password))))
    assert (clear.protocol.value, clear.mechanism.value, clear.username, clear.password) == (
        "SASL_PLAINTEXT",
        "SCRAM-SHA-512",
        "carerelay",
        "pass word ",
    )
    kafka = connection_of(read_settings(sasl(password, "SASL_SSL") | {f"{KAFKA}SSL_CA_FILE": str(certificate)}))
    assert _credentials(kafka).protocol.value == "SASL_SSL"
    assert _credentials(kafka).ssl_context is kafka["ssl_context"]
    tls = connection_of(read_settings({f"{KAFKA}SECURITY_PROTOCOL": "SSL"}))
    assert _credentials(tls).context is tls["ssl_context"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"SASL_MECHANISM": "PLAIN"},
            "SASL_MECHANISM is set but would not be used, because CARERELAY_KAFKA_SECURITY_PROTOCOL is PLAINTEXT",
        ),
        (
            {"SECURITY_PROTOCOL": "SSL", "SASL_USERNAME": "x"},
            "SASL_USERNAME is set but would not be used, because CARERELAY_KAFKA_SECURITY_PROTOCOL is SSL",
        ),
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, "SASL_PASSWORD_FILE must be set, because CARERELAY_KAFKA_SECURITY_PROTOCOL is SASL_SSL"),
        ({"SECURITY_PROTOCOL": "tls"}, "SECURITY_PROTOCOL must be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ({"SASL_MECHANISM": "GSSAPI"}, "SASL_MECHANISM must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_CA_FILE": "/nowhere/at-all"}, "SSL_CA_FILE must name a file that can be read"),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_KEY_FILE": __file__}, "SSL_KEY_FILE is set but CARERELAY_KAFKA_SSL_CERT_FILE is not"),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_CA_FILE": __file__}, "SSL_CA_FILE must hold certificates as PEM"),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_CERT_FILE": __file__}, "must hold a certificate and its key as PEM"),
    ],
)
def test_incomplete_security_settings_are_a_clear_error(given, said):
    with pytest.raises(SettingsError) as caught:
        connection_of(read_settings({KAFKA + name: value for name, value in given.items()}))
    assert said in str(caught.value)


def test_password_is_not_repeated(password):
    settings = read_settings(sasl(password))
    assert "pass word" not in repr(settings)
    assert repr(settings.key_secret) not in repr(settings)


def test_local_kafka_is_reached_in_clear_whatever_is_set(password):
    assert connection_of(without_security(read_settings(sasl(password)))) == {"bootstrap_servers": "a:9092,b:9093"}
    assert set(sasl(password)) - {"KAFKA_BOOTSTRAP"} < set(security_variables())
