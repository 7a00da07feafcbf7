"""How a worker ends when the fault is its own: at once.

Owns the one way out. Nothing graceful, for the frame around would acknowledge what was not done.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import structlog

log = structlog.get_logger()


def end_process(event: str, reason: str, exc: BaseException | None = None, code: int = 3) -> NoReturn:
    """End at once: log once, flush, leave. Nothing of the running transaction becomes visible."""
    log.error(event, reason=reason, exc_info=exc)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
