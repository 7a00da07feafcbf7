"""End the process immediately if the worker fails.

Owns the only exit for failures. The exit is not graceful: a graceful shutdown of Faust would acknowledge records that were not applied.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import structlog

log = structlog.get_logger()


def end_process(event: str, reason: str, exc: BaseException | None = None, code: int = 3) -> NoReturn:
    """Log the error, flush the output and exit immediately. The open transaction never becomes visible."""
    log.error(event, reason=reason, exc_info=exc)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
