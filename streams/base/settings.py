"""The settings: environment variables, read once into one frozen record.

Owns names, defaults and the form of each value. The output of `carerelay settings` and the documentation are generated
from the class `Settings`. Only the entry point reads the settings; rules and shards get their values as arguments.
"""

# ruff: noqa: RUF009 -- `_setting` returns a `dataclasses.field` with metadata

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from streams.base.clock import Clock

DEMO_SECRET = b"carerelay-demonstration-secret"
"""The secret for the keys of synthetic persons. It is public, so it must never be used for real persons."""
PARTITIONS_MAX = 1024
_SECRET_BYTES_MIN = 16
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class SettingsError(ValueError):
    """One or more settings are invalid. The text has one line per setting, with its name and the required form."""


def _text(value: str) -> str:
    return value


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value

    return read


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    return read


def _addresses(value: str) -> str:
    for address in value.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("must be host:port, or several of them separated by commas")
    return value.replace(" ", "")


def _url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value


def _secret(value: str) -> bytes:
    if len(value.encode()) < _SECRET_BYTES_MIN:
        raise ValueError(f"must be at least {_SECRET_BYTES_MIN} bytes long")
    return value.encode()


def _secret_file(value: str) -> bytes:
    try:
        return _secret(Path(value).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        raise ValueError("must name a file that can be read as text") from None


def _file(value: str) -> Path:
    path = Path(value)
    try:
        with path.open("rb"):
            return path
    except OSError:
        raise ValueError("must name a file that can be read") from None


def _password_file(value: str) -> str:
    try:
        password = Path(value).read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise ValueError("must name a file that can be read as text") from None
    if not password:
        raise ValueError("must name a file that is not empty")
    return password


def _zone(value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (ValueError, OSError, KeyError):
        raise ValueError("must be an IANA time zone, for example America/New_York") from None


def _clock(value: str) -> Clock:
    try:
        return Clock.parse(value)
    except ValueError:
        raise ValueError("must be broker_origin_ms,story_origin_ms,speed with a speed greater than 0") from None


def _setting(variable: str, about: str, read: Callable[[str], Any], default: Any, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"variable": variable, "about": about, "read": read})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a deployment. Each field declares its variable, its meaning, its parser and its default."""

    bootstrap: str = _setting(
        "KAFKA_BOOTSTRAP",
        "Kafka brokers as host:port, separated by commas; if empty, `carerelay run` starts a local broker",
        _addresses,
        "",
    )
    security_protocol: str = _setting(
        "CARERELAY_KAFKA_SECURITY_PROTOCOL", f"protocol for connections to Kafka: {', '.join(PROTOCOLS)}", _one_of(*PROTOCOLS), "PLAINTEXT"
    )
    ssl_ca: Path | None = _setting(
        "CARERELAY_KAFKA_SSL_CA_FILE",
        "PEM file of the CA certificates that sign the brokers' certificates; if empty, the system's certificates",
        _file,
        None,
    )
    ssl_certificate: Path | None = _setting("CARERELAY_KAFKA_SSL_CERT_FILE", "PEM file of the client certificate", _file, None)
    ssl_key: Path | None = _setting(
        "CARERELAY_KAFKA_SSL_KEY_FILE",
        "PEM file of the client certificate's key; if empty, the key is in the certificate's file",
        _file,
        None,
    )
    ssl_key_password: str = _setting(
        "CARERELAY_KAFKA_SSL_KEY_PASSWORD_FILE", "file with the password of the key, if it has one", _password_file, "", secret=True
    )
    sasl_mechanism: str = _setting("CARERELAY_KAFKA_SASL_MECHANISM", f"SASL mechanism: {', '.join(MECHANISMS)}", _one_of(*MECHANISMS), "")
    sasl_username: str = _setting("CARERELAY_KAFKA_SASL_USERNAME", "SASL user name", _text, "")
    sasl_password: str = _setting("CARERELAY_KAFKA_SASL_PASSWORD_FILE", "file with the SASL password", _password_file, "", secret=True)
    partitions: int = _setting(
        "CARERELAY_PARTITIONS",
        "partitions of each inbound topic, which is the number of shards; cannot be changed later",
        _number(1, PARTITIONS_MAX),
        8,
    )
    replication: int = _setting("CARERELAY_REPLICATION", "replicas of each new topic; use 3 in production", _number(1, 9), 1)
    group: str = _setting("CARERELAY_GROUP", "consumer group of the workers", _text, "coordination")
    batch_records_max: int = _setting(
        "CARERELAY_BATCH_RECORDS_MAX", "maximum number of records in one transaction", _number(1, 100_000), 4000
    )
    restore_seconds_max: int = _setting(
        "CARERELAY_RESTORE_SECONDS_MAX", "maximum seconds for opening shards; a worker stops if it takes longer", _number(1, 85), 80
    )
    clock: Clock = _setting(
        "CARERELAY_CLOCK", "accelerated clock as broker_origin_ms,story_origin_ms,speed; if empty, real time", _clock, Clock()
    )
    key_secret: bytes = _setting(
        "CARERELAY_KEY_SECRET",
        "secret from which person keys are derived; it must never change, because the keys would change too",
        _secret,
        DEMO_SECRET,
        secret=True,
    )
    key_secret_from_file: bytes = _setting(
        "CARERELAY_KEY_SECRET_FILE", "file with the secret from which person keys are derived", _secret_file, b"", secret=True
    )
    rules: Path | None = _setting("CARERELAY_RULES", "folder of handoff rules; if empty, the built-in rules", Path, None)
    directory: Path | None = _setting(
        "CARERELAY_DIRECTORY",
        "directory file (organisations, roles, pools, time zones); if empty, the demonstration's directory",
        Path,
        None,
    )
    profile: str = _setting(
        "CARERELAY_PROFILE", "profile (us, england) whose rules and calendar apply to facilities that are not in the directory", _text, ""
    )
    default_zone: str = _setting("CARERELAY_ZONE", "IANA time zone for displayed times", _zone, "UTC")
    default_facility: str = _setting("CARERELAY_FACILITY", "default facility for HL7 messages with an empty MSH-4", _text, "")
    backfill_days: int = _setting(
        "CARERELAY_BACKFILL_DAYS",
        "events older than this many days update the state but open no deadlines and notify nobody",
        _number(1, 3660),
        30,
    )
    length_of_stay: str = _setting(
        "CARERELAY_LENGTH_OF_STAY",
        "how risk scores count the days of a stay: nights, or inclusive (with the days of admission and discharge)",
        _one_of("nights", "inclusive"),
        "nights",
    )
    registry: str = _setting(
        "CARERELAY_REGISTRY", "URL of a schema registry (Confluent API); if empty, records carry schema fingerprints", _url, ""
    )
    web_host: str = _setting("CARERELAY_WEB_HOST", "address on which /metrics, /healthz and /readyz are served", _text, "127.0.0.1")
    web_port: int = _setting(
        "CARERELAY_WEB_PORT", "port for /metrics, /healthz and /readyz; 0 takes any free port", _number(0, 65535), 6066
    )
    log_format: str = _setting(
        "CARERELAY_LOG_FORMAT",
        "json, console or auto (console if standard error is a terminal)",
        _one_of("auto", "json", "console"),
        "auto",
    )
    log_level: str = _setting(
        "CARERELAY_LOG_LEVEL",
        "lowest level that is logged: debug, info, warning or error",
        _one_of("debug", "info", "warning", "error"),
        "info",
    )
    run_dir: Path = _setting("CARERELAY_RUN_DIR", "folder for the local Kafka's jars and data", Path, Path(".run"))
    kafka_jars: Path | None = _setting("CARERELAY_KAFKA_JARS", "folder of Kafka's jars; if empty, inside CARERELAY_RUN_DIR", Path, None)
    kafka_port: int | None = _setting("CARERELAY_KAFKA_PORT", "port of the local Kafka; if empty, any free port", _number(1, 65535), None)

    @property
    def has_tls(self) -> bool:
        """Return whether connections to Kafka use TLS."""
        return self.security_protocol.endswith("SSL")

    @property
    def has_sasl(self) -> bool:
        """Return whether connections to Kafka use SASL authentication."""
        return self.security_protocol.startswith("SASL")

    @property
    def has_demo_secret(self) -> bool:
        """Return whether keys are derived from the public demonstration secret, which suits synthetic persons only."""
        return self.key_secret == DEMO_SECRET


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from *environ*. An empty variable counts as not set.

    Raises SettingsError, which names every invalid variable but no value, because some values are secret.
    """
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for setting in fields(Settings):
        value = environ.get(setting.metadata["variable"], "").strip()
        if value:
            try:
                found[setting.name] = setting.metadata["read"](value)
            except ValueError as error:
                wrong.append(f"{setting.metadata['variable']} {error}")
    if "key_secret" in found and "key_secret_from_file" in found:
        wrong.append("CARERELAY_KEY_SECRET and CARERELAY_KEY_SECRET_FILE are both set; unset one of them")
    elif "key_secret_from_file" in found:
        found["key_secret"] = found["key_secret_from_file"]
    if not wrong:
        settings = Settings(**found)
        wrong = _conflicts(settings, found)
    if wrong:
        raise SettingsError("\n".join(wrong))
    return settings


def _conflicts(settings: Settings, found: Mapping[str, Any]) -> list[str]:
    """Return errors for TLS and SASL variables that are set but unused, or that the protocol requires but are not set.

    They are errors because a user who sets such a variable expects a secure connection.
    """
    wrong = []
    protocol = f"{_variable('security_protocol')} is {settings.security_protocol}"
    for names, wanted in ((_TLS, settings.has_tls), (_SASL, settings.has_sasl)):
        wrong += [f"{_variable(name)} is set but would not be used, because {protocol}" for name in names if name in found and not wanted]
    if settings.has_sasl:
        wrong += [f"{_variable(name)} must be set, because {protocol}" for name in _SASL if name not in found]
    for name in ("ssl_key", "ssl_key_password"):
        if name in found and "ssl_certificate" not in found:
            wrong.append(f"{_variable(name)} is set but {_variable('ssl_certificate')} is not")
    return wrong


def without_security(settings: Settings) -> Settings:
    """Return *settings* with TLS and SASL reset to their defaults, as the local Kafka requires."""
    clear: dict[str, Any] = {s.name: s.default for s in fields(Settings) if s.name in ("security_protocol", *_TLS, *_SASL)}
    return replace(settings, **clear)


def security_variables() -> list[str]:
    """Return the variables that configure TLS and SASL for Kafka."""
    return [_variable(name) for name in ("security_protocol", *_TLS, *_SASL)]


_TLS = ("ssl_ca", "ssl_certificate", "ssl_key", "ssl_key_password")
_SASL = ("sasl_mechanism", "sasl_username", "sasl_password")


def _variable(name: str) -> str:
    variable: str = next(setting.metadata["variable"] for setting in fields(Settings) if setting.name == name)
    return variable


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the CARERELAY_ variables that name no setting; most are probably misspelt.

    They are not an error, because Kubernetes sets such variables for a service named carerelay.
    """
    known = {setting.metadata["variable"] for setting in fields(Settings)}
    return sorted(name for name in environ if name.startswith("CARERELAY_") and name not in known)


def table() -> list[tuple[str, str, str]]:
    """Return variable, default and meaning of each setting, as text for the documentation."""
    rows = []
    for setting in fields(Settings):
        default = setting.default
        shown = "" if default in (None, b"", Clock()) else "(demonstration)" if default == DEMO_SECRET else str(default)
        rows.append((setting.metadata["variable"], shown, setting.metadata["about"]))
    return rows
