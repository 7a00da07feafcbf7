"""The local Kafka: one real broker (KRaft, broker and controller in one process) for development and tests.

Owns a data folder, two loopback ports, the broker's settings and its process. Knows no topic and no rule. It is a real Kafka,
so that tests prove the guarantees on Kafka itself and not on an imitation.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from streams.local.child import Child
from streams.local.jars import ELSEWHERE, KAFKA_VERSION, LocalKafkaError, find_java, resolve_jars

HOST = "127.0.0.1"
INTERNAL_PARTITIONS = 8
"""Partitions of the topics for consumer offsets and transaction states. Few are enough for a single broker."""

_MARK = "local-kafka.json"
_PORT_ATTEMPTS = 4
_QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""JVM options for a quick start: 4.6 s of CPU time instead of 7.1 s. Afterwards the broker mostly waits."""
_FORMAT_SECONDS = 120
_LOGGING = """\
Configuration:
  status: warn
  Appenders:
    Console: {name: C, PatternLayout: {pattern: "%d %p %c %m%n"}}
  Loggers:
    Root: {level: warn, AppenderRef: {ref: C}}
"""


class LocalKafka:
    """A broker with the data folder *data*. The first start creates it; later starts use the same ports and records.

    *jars* is the folder of Kafka's jars, which are downloaded if it is incomplete. *port* is a fixed port instead of a free
    one. *more* are further entries for server.properties; listeners are added to the broker's own. *lasting* prefers
    throughput over a quick start. All methods raise LocalKafkaError, whose text is one line for the user.
    """

    def __init__(
        self,
        data: Path,
        *,
        jars: Path,
        port: int | None = None,
        heap_mb: int = 512,
        start_seconds: float = 90,
        more: Mapping[str, str] | None = None,
        lasting: bool = False,
    ) -> None:
        self.data = data.resolve()
        self._jars = jars
        self._port = port
        self._heap_mb = heap_mb
        self._start_seconds = start_seconds
        self._more = more or {}
        self._options = () if lasting else _QUICK_START
        self._ports: tuple[int, int] | None = None
        self._child: Child | None = None
        self._owned: IO[str] | None = None

    @property
    def bootstrap(self) -> str:
        """`host:port`. Raises LocalKafkaError before the first start."""
        if self._ports is None:
            raise LocalKafkaError("the local Kafka has not been started")
        return f"{HOST}:{self._ports[0]}"

    @property
    def log_path(self) -> Path:
        return self.data / "kafka.log"

    @property
    def pid(self) -> int | None:
        """The broker's process id; None if it does not run."""
        return self._child.pid if self._child is not None and self._child.alive else None

    def start(self) -> Self:
        """Start the broker and wait until it answers. Does nothing if it runs."""
        if self.pid is not None:
            return self
        java = find_java()
        classpath = resolve_jars(self._jars)
        self._lock_folder()
        try:
            self._format(java, classpath)
            self._start_on_ports(java, classpath)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the broker (SIGTERM, then SIGKILL) and release the folder. Its records are kept."""
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._owned is not None:
            self._owned.close()
            self._owned = None

    def erase(self) -> None:
        """Delete all records of a broker that does not run, so that the next start begins empty. Deletes only its own files."""
        self._lock_folder()
        try:
            shutil.rmtree(self._records, ignore_errors=True)
            # The mark file is deleted last. Without it the remaining files would look like those of another program.
            for name in ("kafka.log", "server.properties", "log4j2.yaml", f"{_MARK}.new", _MARK):
                (self.data / name).unlink(missing_ok=True)
        finally:
            self.stop()

    def kill(self) -> None:
        """End the broker with SIGKILL, as a crash would. `start` starts it again on the same ports."""
        if self._child is not None:
            self._child.kill()
        self.stop()

    def pause(self) -> None:
        """Suspend the broker (SIGSTOP). Its connections stay open, but it does not answer."""
        if self._child is not None:
            self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue a suspended broker (SIGCONT)."""
        if self._child is not None:
            self._child.signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # ---- the folder

    @property
    def _records(self) -> Path:
        return self.data / "records"

    def _lock_folder(self) -> None:
        """Lock the folder for this process. Raises LocalKafkaError if it is in use or contains other files."""
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            foreign_files = [] if (self.data / _MARK).exists() else sorted(p.name for p in self.data.iterdir() if p.name != ".owner")
            owned = (self.data / ".owner").open("a")
        except OSError as error:
            raise LocalKafkaError(f"cannot use the data folder {self.data}: {error.strerror}") from None
        if foreign_files:
            owned.close()
            raise LocalKafkaError(
                f"the data folder {self.data} contains other files ({foreign_files[0]}): choose another folder with CARERELAY_RUN_DIR"
            )
        try:
            fcntl.flock(owned, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owned.close()
            raise LocalKafkaError(
                f"a local Kafka is already running in {self.data}: stop it, choose another folder with CARERELAY_RUN_DIR, {ELSEWHERE}"
            ) from None
        self._owned = owned

    def _mark(self) -> dict[str, object]:
        try:
            mark = json.loads((self.data / _MARK).read_bytes())
        except (OSError, ValueError):
            return {}
        return mark if isinstance(mark, dict) else {}

    def _write_mark(self, *, formatted: bool) -> None:
        """Write the mark file, atomically: it identifies the folder, and holds the ports and whether formatting is complete."""
        fresh = self.data / f"{_MARK}.new"
        fresh.write_text(json.dumps({"kafka": KAFKA_VERSION, "ports": self._ports, "formatted": formatted}), encoding="utf-8")
        fresh.replace(self.data / _MARK)

    def _format(self, java: str, classpath: str) -> None:
        """Choose ports and format the folder, unless an earlier start has done so."""
        mark = self._mark()
        self._ports = _ports_of(mark.get("ports"))
        if self._port is not None and (self._ports is None or self._ports[0] != self._port):
            self._ports = (self._port, free_port())
        if self._ports is None:
            self._ports = (free_port(), free_port())
        if mark.get("formatted") is True and (self._records / "meta.properties").exists():
            return
        self._write_mark(formatted=False)
        shutil.rmtree(self._records, ignore_errors=True)
        self._write_settings()
        cluster = urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", "-t", f"L{cluster[1:]}", "-c", str(self._settings), "--standalone"]
        try:
            done = subprocess.run(  # noqa: S603
                [*self._jvm(java, classpath, 128), *tool], capture_output=True, text=True, timeout=_FORMAT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise LocalKafkaError(f"Kafka did not format {self.data} within {_FORMAT_SECONDS} s. Try again") from None
        if done.returncode:
            raise LocalKafkaError(f"Kafka could not format {self.data}: {_reason(done.stdout + done.stderr)}")
        self._write_mark(formatted=True)

    # ---- the process

    @property
    def _settings(self) -> Path:
        return self.data / "server.properties"

    def _write_settings(self) -> None:
        assert self._ports is not None  # noqa: S101
        broker, controller = self._ports
        rows = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"{HOST}:{controller}",
            "listeners": f"PLAINTEXT://{HOST}:{broker},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{broker},CONTROLLER://{HOST}:{controller}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self._records),
            "auto.create.topics.enable": "false",
            "num.partitions": "8",
            "offsets.topic.num.partitions": str(INTERNAL_PARTITIONS),
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": str(INTERNAL_PARTITIONS),
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            # After kill -9 the old registration of the broker must expire before it can register again; the default is 9 s.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # By default the first rebalance of a group waits 3 s for further members.
            "group.initial.rebalance.delay.ms": "0",
        }
        for name, value in self._more.items():
            rows[name] = f"{rows[name]},{value}" if name.endswith("listeners") else value
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in rows.items()), encoding="utf-8")
        (self.data / "log4j2.yaml").write_text(_LOGGING, encoding="utf-8")

    def _jvm(self, java: str, classpath: str, heap_mb: int) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.data / 'log4j2.yaml'}"
        return [java, *self._options, f"-Xmx{heap_mb}m", "-Djava.awt.headless=true", logging, "-cp", classpath]

    def _start_on_ports(self, java: str, classpath: str) -> None:
        """Start the broker. Replaces remembered ports that are in use now; raises LocalKafkaError if a fixed port is in use."""
        for _ in range(_PORT_ATTEMPTS):
            assert self._ports is not None  # noqa: S101
            taken = [port for port in self._ports if not _is_free(port)]
            if self._port is not None and self._port in taken:
                raise LocalKafkaError(
                    f"port {self._port} on {HOST} is in use: stop the program that uses it, or set CARERELAY_KAFKA_PORT to another port"
                )
            if taken:
                broker, controller = (port if port not in taken else free_port() for port in self._ports)
                self._ports = (broker, controller)
            self._write_settings()
            self._write_mark(formatted=True)
            if self._start_once(java, classpath):
                return
        raise LocalKafkaError(f"found no free port on {HOST} in {_PORT_ATTEMPTS} attempts: read {self.log_path}")

    def _start_once(self, java: str, classpath: str) -> bool:
        """Start the broker and wait for its first answer. Return False if a port was taken before the broker bound it."""
        with self.log_path.open("ab") as log:
            seen = log.tell()
            try:
                self._child = Child([*self._jvm(java, classpath, self._heap_mb), "kafka.Kafka", str(self._settings)], output=log)
            except OSError as error:
                raise LocalKafkaError(f"Java could not be started: {error}") from None
        deadline = time.monotonic() + self._start_seconds
        while time.monotonic() < deadline:
            if answers(self.bootstrap):
                return True
            if not self._child.alive:
                said = self.log_path.read_bytes()[seen:].decode(errors="replace")
                if "Address already in use" in said or "BindException" in said:
                    return False
                raise LocalKafkaError(f"the local Kafka stopped during startup: {_reason(said)}. Read {self.log_path}")
            time.sleep(0.05)
        raise LocalKafkaError(f"the local Kafka did not answer within {self._start_seconds:.0f} s: read {self.log_path}")


def answers(bootstrap: str, seconds: float = 2.0) -> bool:
    """Return whether the broker answers a request for its API versions. A broker accepts connections before it answers requests."""
    host, _, port = bootstrap.rpartition(":")
    # Size, api key 18 (ApiVersions), version 0, correlation id, no client id.
    request = struct.pack(">ihhih", 10, 18, 0, 1, -1)
    try:
        with socket.create_connection((host, int(port)), timeout=seconds) as connection:
            connection.sendall(request)
            return len(connection.recv(8)) == 8
    except (OSError, ValueError):
        return False


def free_port() -> int:
    """Return a loopback port on which no process listens now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Like the broker: lingering connections (TIME_WAIT) of an earlier process do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _ports_of(value: object) -> tuple[int, int] | None:
    match value:
        case [int(broker), int(controller)]:
            return broker, controller
        case _:
            return None


def _reason(said: str) -> str:
    """Return the most useful line of Kafka's output: the first one with an exception or error, else the last one."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    wanted = [line for line in lines if "Exception" in line or "ERROR" in line or "Error" in line] or lines[-1:]
    return wanted[0][:300] if wanted else "it wrote no output"
