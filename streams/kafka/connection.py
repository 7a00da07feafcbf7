"""How clients connect to Kafka: in plain text or with TLS, with or without SASL, according to the settings.

Owns the connection arguments of aiokafka's clients. The admin client, the publishers, the readers, and the worker's producers
and consumers all get the same ones. The settings check which combinations are valid.
"""

from __future__ import annotations

import ssl
from typing import Any

from streams.base.settings import Settings, SettingsError


def connection_of(settings: Settings) -> dict[str, Any]:
    """Return the connection arguments for the Kafka of *settings*. Raises SettingsError if a certificate or key file is not PEM."""
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
    """Return a context that checks the broker's certificate and host name, with a client certificate if one is configured."""
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca)
    except (ssl.SSLError, OSError):
        raise SettingsError("CARERELAY_KAFKA_SSL_CA_FILE must hold certificates as PEM") from None
    if settings.ssl_certificate is not None:
        try:
            # The password is never None: OpenSSL would then prompt on the terminal for the password of an encrypted key.
            context.load_cert_chain(settings.ssl_certificate, settings.ssl_key, password=settings.ssl_key_password)
        except (ssl.SSLError, OSError):
            raise SettingsError(
                "CARERELAY_KAFKA_SSL_CERT_FILE and CARERELAY_KAFKA_SSL_KEY_FILE must hold a certificate and its key as PEM, "
                "and CARERELAY_KAFKA_SSL_KEY_PASSWORD_FILE the key's password if it has one"
            ) from None
    return context
