"""The `klog` command, as the wheel installs it."""

import hashlib
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import klog
import pytest
from conftest import HANGS_AFTER, environment

COMMAND = Path(sysconfig.get_path("scripts")) / "klog"


def run(*arguments, **options):
    settings = {"capture_output": True, "timeout": HANGS_AFTER, "env": environment()}
    if "input" not in options:
        settings["stdin"] = subprocess.DEVNULL
    return subprocess.run([COMMAND, *arguments], **(settings | options))


@pytest.fixture
def full(path):
    """A directory with many records."""
    with klog.open(path) as engine:
        engine.producer().send_many("orders", [b"x" * 1000] * 5000)
    return path


def test_it_knows_its_version():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"klog {klog.__version__}\n".encode(), b"")


def test_it_writes_the_seed(path):
    assert run("-d", path, "topics", "create", "peter-overview01", "--partitions", "1").returncode == 0
    arguments = ["-d", path, "produce", "peter-overview01", "--timestamp", "1641213117088"]
    done = run(*arguments, input=b" First message\n")
    assert (done.returncode, done.stderr) == (0, b"")
    content = (path / "peter-overview01-0" / "00000000000000000000.log").read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()[:8]) == (82, "4ee08df9")
    assert run("-d", path, "consume", "peter-overview01").stdout == b" First message\n"


def test_the_directory_may_be_in_the_environment(full):
    assert b"orders" in run("topics", "list", env=environment() | {"KLOG_DIR": str(full)}).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["topics", "list"], 2, b"-d DIR, or set KLOG_DIR"),
        (["nonsense"], 2, b"nonsense"),
        ([], 2, b"Usage: klog"),
        (["-d", "DATA", "topics", "describe", "order"], 1, b"did you mean 'orders'"),
        (["explain", "missing.log"], 1, b"missing.log"),
        (["-d", "DATA", "consume", b"\xff"], 2, b""),
    ],
)
def test_its_exit_code_says_what_went_wrong(full, arguments, code, what):
    done = run(*(full if argument == "DATA" else argument for argument in arguments))
    assert done.returncode == code, done
    assert what in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""


def test_ctrl_c_ends_it_as_it_ends_any_program(full):
    # It has more to say than a pipe holds, so it is still there when the signal comes.
    command = [COMMAND, "-d", full, "consume", "orders"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment()) as process:
        try:
            assert process.stdout.readline() == b"x" * 1000 + b"\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(HANGS_AFTER) == -signal.SIGINT
            assert process.stderr.read() == b""
        finally:
            process.kill()


def test_it_ends_quietly_when_nobody_reads_any_more(full):
    command = [COMMAND, "-d", full, "consume", "orders"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment()) as process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(HANGS_AFTER) == 0
    assert errors == b""


def test_it_says_who_has_the_directory_to_himself(path):
    with klog.open(path, config={"klog.exclusive": True}) as engine:
        engine.create_topic("orders")
        done = run("-d", path, "produce", "orders", input=b"one\n")
    assert done.returncode == 1
    assert f"process {os.getpid()}".encode() in done.stderr


def test_importing_klog_imports_little_else():
    script = (
        "import sys; before = set(sys.modules); import klog._klog; "
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith(('_', 'klog'))))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True)
    if done.returncode != 0:  # without `site`, only an installation in the standard place is found
        done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    light = {"atexit", "collections", "enum", "functools", "itertools", "keyword", "operator", "reprlib", "types"}
    assert set(done.stdout.split()) - {"collections.abc", "abc", "io", "os", "stat"} <= light
