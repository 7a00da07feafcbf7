"""How clients reach Kafka: in clear or by TLS, with or without SASL, as the settings say.

Owns the arguments that every client of aiokafka takes for that: the admin client, publishers, readers, and the worker's
producers and consumers all get the same ones. Which combinations make sense is checked where the settings are read.
"""

from __future__ import annotations

import ssl
from typing import Any

from streams.base.settings import Settings, SettingsError


def connection_of(settings: Settings) -> dict[str, Any]:
    """Return what aiokafka's clients take to reach the Kafka of *settings*. Raises SettingsError on files that are no PEM."""
    kafka: dict[str, Any] = {"bootstrap_servers": settings.bootstrap}
    if settings.security_protocol != "PLAINTEXT":
        kafka["security_protocol"] = settings.security_protocol
    if settings.has_tls:
        kafka["ssl_context"] = _tls(settings)
    if settings.has_sasl:
        kafka["sasl_mechanism"] = settings.sasl_mechanism
        kafka["sasl_plain_username"] = settings.sasl_username
        kafka["sasl_plain_password"] = settings.sasl_password
    return kafka


def _tls(settings: Settings) -> ssl.SSLContext:
    """Make a context that checks the broker's certificate and its name; with a certificate of ours where one is set."""
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca)
    except (ssl.SSLError, OSError):
        raise SettingsError("CARERELAY_KAFKA_SSL_CA_FILE must hold certificates as PEM") from None
    if settings.ssl_certificate is not None:
        try:
            # Never None: OpenSSL would ask at the terminal for the password of a key that has one.
            context.load_cert_chain(settings.ssl_certificate, settings.ssl_key, password=settings.ssl_key_password)
        except (ssl.SSLError, OSError):
            raise SettingsError(
                "CARERELAY_KAFKA_SSL_CERT_FILE and CARERELAY_KAFKA_SSL_KEY_FILE must hold a certificate and its key as PEM, "
                "and CARERELAY_KAFKA_SSL_KEY_PASSWORD_FILE the key's password where it has one"
            ) from None
    return context
