"""The settings: working defaults, and errors that name the variable but never its value."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.base.clock import Clock
from streams.base.settings import Settings, SettingsError, read_settings, table, unknown_variables


def test_nothing_set_gives_the_documented_defaults():
    settings = read_settings({})
    assert settings == Settings()
    assert (settings.bootstrap, settings.partitions, settings.clock.real, settings.web_host) == ("", 8, True, "127.0.0.1")
    assert settings.has_demo_secret


def test_empty_variable_counts_as_not_set():
    assert read_settings({"KAFKA_BOOTSTRAP": "", "CARERELAY_PARTITIONS": " "}) == Settings()


def test_each_variable_reaches_its_field(tmp_path: Path):
    (tmp_path / "secret").write_text("a secret of enough bytes\n")
    settings = read_settings(
        {
            "KAFKA_BOOTSTRAP": "a:9092, b:9092",
            "CARERELAY_PARTITIONS": "3",
            "CARERELAY_CLOCK": "1000,2000,60",
            "CARERELAY_KEY_SECRET_FILE": str(tmp_path / "secret"),
            "CARERELAY_RULES": "rules",
        }
    )
    assert settings.bootstrap == "a:9092,b:9092"
    assert settings.partitions == 3
    assert settings.clock == Clock(1000, 2000, 60.0)
    assert settings.key_secret == b"a secret of enough bytes"
    assert not settings.has_demo_secret
    assert settings.rules == Path("rules")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KAFKA_BOOTSTRAP", "localhost"),
        ("KAFKA_BOOTSTRAP", "localhost:70000"),
        ("CARERELAY_PARTITIONS", "0"),
        ("CARERELAY_PARTITIONS", "-8"),
        ("CARERELAY_PARTITIONS", "eight"),
        ("CARERELAY_CLOCK", "0,0,0"),
        ("CARERELAY_CLOCK", "fast"),
        ("CARERELAY_KEY_SECRET", "hunter2"),
        ("CARERELAY_KEY_SECRET_FILE", "/nowhere/at-all"),
        ("CARERELAY_LOG_FORMAT", "xml"),
        ("CARERELAY_ZONE", "Mars/Olympus"),
    ],
)
def test_wrong_value_is_named_by_its_variable_and_not_repeated(variable, value):
    with pytest.raises(SettingsError) as caught:
        read_settings({variable: value})
    assert str(caught.value).startswith(f"{variable} must ")
    if "SECRET" in variable:
        assert value not in str(caught.value)


def test_all_wrong_variables_are_named_at_once():
    with pytest.raises(SettingsError) as caught:
        read_settings({"CARERELAY_PARTITIONS": "x", "CARERELAY_WEB_PORT": "y"})
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["CARERELAY_PARTITIONS", "CARERELAY_WEB_PORT"]


def test_two_secrets_are_refused(tmp_path: Path):
    (tmp_path / "secret").write_text("a secret of enough bytes")
    with pytest.raises(SettingsError, match="both set"):
        read_settings({"CARERELAY_KEY_SECRET": "another secret, long enough", "CARERELAY_KEY_SECRET_FILE": str(tmp_path / "secret")})


def test_misspelt_variable_is_reported():
    assert unknown_variables({"CARERELAY_PARTITONS": "8", "CARERELAY_GROUP": "x", "PATH": "/"}) == ["CARERELAY_PARTITONS"]


def test_table_has_a_meaning_for_each_setting_and_shows_no_secret():
    rows = table()
    assert len(rows) == len({variable for variable, _, _ in rows})
    assert all(about for _, _, about in rows)
    assert not any("secret" in default for _, default, _ in rows)
