"""The stubs: they say what is there, type checkers understand them, and everything has its documentation."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import klog
import pytest
from conftest import HANGS_AFTER, PROJECT

HERE = Path(__file__).parent
PACKAGE = Path(klog.__file__).parent


def check(directory, *arguments):
    """Runs one of mypy's programs where it finds no settings and leaves no cache."""
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=10 * HANGS_AFTER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stubs_are_what_is_there(tmp_path):
    check(tmp_path, "mypy.stubtest", "klog", "--allowlist", HERE / "stubs.allowlist", "--ignore-unused-allowlist")


@pytest.mark.parametrize("program", ["typed.py", *sorted((PROJECT / "examples" / "python").glob("*.py"))], ids=str)
def test_type_checkers_understand_the_stubs(tmp_path, program):
    check(tmp_path, "mypy", "--strict", "--warn-unreachable", HERE / program)


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").read_bytes() == b""


def test_everything_that_is_exported_is_there():
    assert len(klog.__all__) == len(set(klog.__all__)) > 40
    for name in klog.__all__:
        assert getattr(klog, name) is getattr(klog._klog, name)
    public = {name for name in vars(klog._klog) if not name.startswith("_")} - {"command"}
    assert public | {"__version__"} == set(klog.__all__)


def public_members():
    """Each public function, class and method by its dotted name."""
    for name in klog.__all__:
        member = getattr(klog, name)
        if name == "__version__":
            continue
        yield name, member
        if inspect.isclass(member) and not issubclass(member, (tuple, int, Exception)):
            for inner, attribute in vars(member).items():
                if not inner.startswith("_"):
                    yield f"{name}.{inner}", attribute


@pytest.mark.parametrize(("name", "member"), list(public_members()), ids=lambda value: value if isinstance(value, str) else "")
def test_everything_public_is_documented(name, member):
    assert member.__doc__, name
    assert member.__doc__.strip().endswith("."), name


def test_the_stubs_document_everything_public():
    tree = ast.parse((PACKAGE / "_klog.pyi").read_text())
    missing, seen = [], set()
    for node in tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue
        inner = node.body if isinstance(node, ast.ClassDef) else []
        for each in [node, *(member for member in inner if isinstance(member, ast.FunctionDef))]:
            name = each.name if each is node else f"{node.name}.{each.name}"
            # Of overloads, the first has the documentation.
            if not each.name.startswith("_") and name not in seen and not ast.get_docstring(each):
                missing.append(name)
            seen.add(name)
    assert missing == []
