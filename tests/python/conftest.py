"""What the tests share: engines to work on, and programs of their own for what ends or forks a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import klog
import pytest

PROJECT = Path(__file__).resolve().parents[2]

# No step of any test takes so long; whatever does hangs.
HANGS_AFTER = 120

# A shell that runs this in the background has it ignore SIGINT, which its children would inherit: no Ctrl-C would reach them.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a directory can be made."""
    return tmp_path / "data"


@pytest.fixture
def engine(path: Path) -> Iterator[klog.Engine]:
    """An engine on disk."""
    with klog.open(path) as engine:
        yield engine


@pytest.fixture
def memory() -> Iterator[klog.Engine]:
    """An engine in memory."""
    with klog.open() as engine:
        yield engine


class Program:
    """A Python program that runs beside the test."""

    def __init__(self, source: str, *arguments: object) -> None:
        command = [sys.executable, "-W", "error", "-c", source, *map(str, arguments)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def line(self) -> str:
        """The next line that it prints; what went wrong when it printed none."""
        assert self.process.stdout is not None and self.process.stderr is not None
        return self.process.stdout.readline().rstrip("\n") or self.process.stderr.read()

    def go_on(self) -> None:
        """Ends its wait for a line."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Waits for its end: exit code, output, errors."""
        output, errors = self.process.communicate(timeout=HANGS_AFTER)
        return self.process.returncode, output, errors

    def output(self) -> str:
        """Its output, when it ended well."""
        code, output, errors = self.end()
        assert (code, errors) == (0, "")
        return output


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    """Starts programs, none of which outlives the test."""
    started: list[Program] = []

    def start(source: str, *arguments: object) -> Program:
        started.append(Program(source, *arguments))
        return started[-1]

    yield start
    for program in started:
        with program.process:
            program.process.kill()


class Thread(threading.Thread):
    """A thread whose end is waited for, and whose result or error is handed over then."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.work = work
        self.outcome: object = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self.work()
        except BaseException as error:  # handed over
            self.error = error

    def result(self) -> object:
        self.join(HANGS_AFTER)
        assert not self.is_alive(), "the thread hangs"
        if self.error is not None:
            raise self.error
        return self.outcome


@pytest.fixture
def thread() -> type[Thread]:
    """Starts a thread that does some work."""
    return Thread


def segments(partition: Path) -> list[Path]:
    """The segments of a partition, in order."""
    return sorted(partition.glob("*.log"))


def fingerprints(path: Path, *, with_memory: bool = True) -> dict[Path, tuple[object, ...]]:
    """Names, sizes, times and contents of everything; of the memory that processes share if that is asked for."""
    found: dict[Path, tuple[object, ...]] = {}
    for file in sorted(path.rglob("*")):
        if file.name == ".klog.shm" and not with_memory:
            continue
        status = file.stat()
        content = file.read_bytes() if file.is_file() else None
        found[file] = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, content)
    return found


def environment() -> dict[str, str]:
    """The environment, without what would change the command."""
    return {name: value for name, value in os.environ.items() if name not in ("KLOG_DIR", "NO_COLOR")}
