"""The examples run, and print what they say."""

import os
import re
import runpy
import subprocess
import sys

import klog
import pytest
from conftest import HANGS_AFTER, PROJECT

EXAMPLES = PROJECT / "examples" / "python"


def run(*arguments, **options):
    command = [sys.executable, "-W", "error", *map(os.fspath, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANGS_AFTER, **options)


def test_the_first_steps(path):
    done = run(EXAMPLES / "first_steps.py", path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"on the disk: partition [012], offset 0", lines[0])
    assert lines[1:] == [
        "101 records, among them the tea",
        "came in: b'customer-7' b'one more'",
        "refused: there is no topic 'order'; did you mean 'orders'?",
    ]
    again = run(EXAMPLES / "first_steps.py", path)
    assert (again.returncode, again.stdout.splitlines()[1]) == (0, "203 records, among them the tea")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"", []),
        (b"one\n", [b"one"]),
        (b"one\n\nthree", [b"one", b"", b"three"]),
        (b"\xff\x00\r\n \n", [b"\xff\x00\r", b" "]),
    ],
)
def test_lines_are_spooled(tmp_path, path, text, values):
    file = tmp_path / "lines.txt"
    file.write_bytes(text)
    done = run(EXAMPLES / "spool_lines.py", path, "lines", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{len(values)} lines of {file} are in topic lines of {path}\n"
    with klog.open(path, mode="r") as engine:
        assert [record.value for record in engine.read("lines")] == values if values else len(engine.topics) == 0


def test_a_real_text_is_spooled(path):
    file = PROJECT / "LICENSE"
    assert run(EXAMPLES / "spool_lines.py", path, "licence", file).returncode == 0
    with klog.open(path, mode="r") as engine:
        assert b"".join(record.value + b"\n" for record in engine.read("licence")) == file.read_bytes()


def test_spooling_says_how_it_is_used(path):
    done = run(EXAMPLES / "spool_lines.py", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "usage: python spool_lines.py DIR TOPIC FILE\n"
    assert not path.exists()


@pytest.mark.parametrize(
    ("readme", "printed"),
    [
        ("README.md", "0 b'py' b'hello from Python'\n"),
        ("bindings-python/README.md", f"0 b'en' b'hello, world'\n{sum(range(1000))}\nnumbers-0/{0:020}.log 1000\n"),
    ],
)
def test_the_readmes_examples(tmp_path, monkeypatch, capsys, readme, printed):
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", (PROJECT / readme).read_text(), re.DOTALL)
    for number, example in enumerate(examples):
        (tmp_path / f"example{number}.py").write_text(example)
        runpy.run_path(f"example{number}.py")
    assert capsys.readouterr().out == printed
