"""The measured programs: how each is started, and the CPU time and memory that it uses.

CPU time and memory come from the kernel. They cover the whole process tree and include the start-up.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.work import EVENT_SCHEMA, NOTICE_SCHEMA, Names

ROOT = Path(__file__).parents[1]
OUTPUT_DIR = ROOT / ".run" / "bench"
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")

OURS, STREAMS, RAW, TEXTBOOK = "CareRelay", "Kafka Streams, exactly once", "raw aiokafka loop", "textbook Faust agent"
_JAVA = [
    "java",
    "-Xmx512m",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-cp",
    f"{OUTPUT_DIR}/kstreams/kstreams-1.jar:{OUTPUT_DIR}/kstreams/lib/*",
]
COMMANDS: Mapping[str, Sequence[str]] = {
    OURS: [sys.executable, "-m", "bench.mechanics"],
    STREAMS: [*_JAVA, "peers.App"],
    RAW: [sys.executable, "-m", "bench.peers.raw"],
    TEXTBOOK: [sys.executable, "-m", "bench.peers.textbook", "worker", "--without-web", "-l", "warn"],
}
CARE = [sys.executable, "-m", "bench.care"]


class EndedError(Exception):
    """The program ended unexpectedly or did not finish in time. The text names its log."""


class Program:
    """A process that is measured while it runs."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        given = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment}
        with log.open("ab") as to:
            self._process = subprocess.Popen(command, cwd=ROOT, env=given, stdout=to, stderr=to, stdin=subprocess.DEVNULL)
        self.pid = self._process.pid

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def check(self) -> None:
        """Raise EndedError if the program is not running."""
        if self._process.poll() is not None:
            tail = " | ".join(self.log.read_text(errors="replace").splitlines()[-3:])
            raise EndedError(f"exited with code {self._process.returncode}, see {self.log}: {tail[-400:]}")

    def cpu_s(self) -> float:
        total = 0
        for pid in self._pids():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def peak_mb(self) -> float:
        return sum(self._status(pid, "VmHWM") for pid in self._pids()) / 1024

    def resident_mb(self) -> float:
        return sum(self._status(pid, "VmRSS") for pid in self._pids()) / 1024

    def end(self, limit_s: float = 15) -> None:
        """Send SIGTERM, as an orchestrator does, and wait. Kill the program after *limit_s* (seconds)."""
        self._process.terminate()
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the program and its child processes."""
        for pid in self._pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self._process.wait()

    def _pids(self) -> list[int]:
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                todo += [int(c) for task in Path(f"/proc/{pid}/task").iterdir() for c in (task / "children").read_text().split()]
            except OSError:
                continue
        return found

    @staticmethod
    def _status(pid: int, name: str) -> int:
        try:
            found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        except OSError:
            return 0
        return int(found[1]) if found else 0


def start(name: str, bootstrap: str, given: Names) -> Program:
    """Start the program *name* of the mechanics, with the topics and folder in *given*."""
    Path(given.folder).mkdir(parents=True, exist_ok=True)
    schemas = {"BENCH_EVENT_SCHEMA": json.dumps(EVENT_SCHEMA), "BENCH_NOTICE_SCHEMA": json.dumps(NOTICE_SCHEMA)}
    return Program(
        COMMANDS[name], {"KAFKA_BOOTSTRAP": bootstrap, **schemas, **given.environment()}, OUTPUT_DIR / "logs" / f"{given.group}.log"
    )


def build_streams() -> str | None:
    """Build the Kafka Streams program with Maven; return None, or the reason why it cannot be built."""
    sources = Path(__file__).parent / "peers" / "kstreams"
    jar = OUTPUT_DIR / "kstreams" / "kstreams-1.jar"
    newest = max(p.stat().st_mtime for p in sources.rglob("*") if p.is_file())
    if jar.exists() and jar.stat().st_mtime > newest and (jar.parent / "lib").is_dir():
        return None
    maven = shutil.which("mvn")
    if maven is None:
        return "Maven is not installed"
    goals = ["package", "dependency:copy-dependencies", f"-DoutputDirectory={jar.parent / 'lib'}", "-DincludeScope=runtime"]
    done = subprocess.run(
        [maven, "-q", "-B", "-C", f"-Dmade={jar.parent}", *goals], cwd=sources, capture_output=True, text=True, timeout=600
    )
    return None if done.returncode == 0 else f"Maven exited with code {done.returncode}"
