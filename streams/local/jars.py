"""Kafka's jars for the local broker: their Maven coordinates, the folder that contains them, and the search for Java and Maven.

Owns the conversion of Maven coordinates to a class path. A folder is used only if it is complete: its files must match
its list of names and sizes. Otherwise, it is created again. Knows nothing about brokers, topics or care.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KAFKA_VERSION = "4.3.1"
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}",
    # Kafka's own dependencies include log4j but not the SLF4J binding. Without this jar the broker's log is empty.
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
)
JAVA_AT_LEAST = 17
"""Kafka 4's broker is compiled for Java 17."""

ELSEWHERE = "or set KAFKA_BOOTSTRAP=host:port to use a running Kafka"
_LIST = "jars.json"
_RESOLVE_SECONDS = 600


class LocalKafkaError(Exception):
    """The local Kafka cannot be started. The text is one line for the user that says what to do."""


def jars_folder(run_dir: Path, given: Path | None) -> Path:
    """Return the folder of Kafka's jars: *given*, or if that is None the folder of this version in the run folder."""
    return given or run_dir / "kafka" / KAFKA_VERSION


def find_java() -> str:
    """Return the path of a Java that can run Kafka: `JAVA_HOME` first, then `PATH`.

    Raises LocalKafkaError if there is none, or if it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    java = java or shutil.which("java")
    wanted = f"install Java {JAVA_AT_LEAST} or newer (Debian: apt install openjdk-17-jre-headless), {ELSEWHERE}"
    if java is None:
        raise LocalKafkaError(f"Java is not installed: {wanted}")
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        raise LocalKafkaError(f"Java could not be started: {wanted}") from None
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < JAVA_AT_LEAST:
        raise LocalKafkaError(f"Java {version[1] if version else 'of unknown version'} is too old for Kafka {KAFKA_VERSION}: {wanted}")
    return java


def resolve_jars(folder: Path) -> str:
    """Download Kafka's jars to *folder* if they are not there, and return the class path.

    Maven writes to a temporary folder, which is then renamed, so that an interrupted run leaves no folder that looks complete.
    If several processes call this at the same time, one downloads and the others wait. Raises LocalKafkaError.
    """
    if not _is_complete(folder):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _locked(folder.parent / f".{folder.name}.lock"):
                if not _is_complete(folder):
                    _resolve(folder)
        except OSError as error:
            raise LocalKafkaError(f"cannot write to the folder for Kafka's jars, {folder}: {error.strerror}") from None
    return str(folder.resolve() / "*")


def _is_complete(folder: Path) -> bool:
    try:
        kept = json.loads((folder / _LIST).read_bytes())
        return kept["of"] == list(COORDINATES) and all((folder / name).stat().st_size == size for name, size in kept["jars"].items())
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return False


def _resolve(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise LocalKafkaError(f"Maven is not installed: install it (Debian: apt install maven), {ELSEWHERE}")
    # An absolute path, because Maven resolves a relative one against the folder of the pom.
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent.resolve()))
    try:
        (work / "pom.xml").write_text(_pom(), encoding="utf-8")
        jars = work / "jars"
        command = [maven, "-q", "-B", "-C", "-f", str(work / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_RESOLVE_SECONDS, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise LocalKafkaError(
                f"Maven did not download Kafka {KAFKA_VERSION} within {_RESOLVE_SECONDS} s: try again, {ELSEWHERE}"
            ) from None
        found = {jar.name: jar.stat().st_size for jar in sorted(jars.glob("*.jar"))} if jars.is_dir() else {}
        if done.returncode or not any(name.startswith("kafka_2.13") for name in found):
            said = re.search(r"\[ERROR\]\s*(.+)", _plain(done.stdout + done.stderr))
            reason = said[1][:200] if said else f"mvn stopped with exit code {done.returncode}"
            raise LocalKafkaError(f"Maven could not download Kafka {KAFKA_VERSION} ({reason}): check network and proxy, {ELSEWHERE}")
        (jars / _LIST).write_text(json.dumps({"of": COORDINATES, "jars": found}, indent=1), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        jars.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _pom() -> str:
    rows = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        for group, artifact, version in (coordinate.split(":") for coordinate in COORDINATES)
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>carerelay.local</groupId><artifactId>kafka-runtime</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{rows}</dependencies></project>"
    )


def _plain(text: str) -> str:
    """Remove the terminal colours, which Maven writes even to a pipe."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
