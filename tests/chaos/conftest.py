"""The chaos test uses the same environment as the tests on a broker."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "broker"))
