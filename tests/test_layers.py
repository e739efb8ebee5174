"""Imports point one way only, and what is light never loads torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "symcheck"

# From the ground up; a module may import its own layer and those below.
LAYERS = (
    ("errors", "registry", "grammar", "topics", "patterns", "importing", "version", "files", "subject_file", "preset"),
    ("report", "groups"),
    ("gate", "actions", "batch"),
    ("relations", "intertwiners"),
    ("claim", "subject"),
    ("measure",),
    ("loading", "weights"),
    ("align",),
    ("connect", "merge", "locate", "discover", "frames", "explaining", "compare"),
    ("engines",),
    ("api",),
    ("testing", "pytest_plugin"),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# The package's own face: names only for type checkers, loaded when first used.
FACE = "__init__"
# Parts of one layer that do not know each other.
STRANGERS = [{"report", "groups"}, {"gate", "actions"}, {"loading", "weights"}, set(LAYERS[8])]
HEAVY = ("torch", "numpy", "scipy", "networkx", "matplotlib")
LIGHT = (
    "", ".errors", ".registry", ".grammar", ".patterns", ".importing", ".version",
    ".cli.main", ".cli.audit", ".cli.console", ".cli.gate", ".cli.gate_run", ".cli.report",
    ".files", ".subject_file", ".preset", ".testing", ".pytest_plugin",
)  # fmt: skip


def modules(root: Path) -> dict[str, Path]:
    """Every module below `root` by its dotted name within the package."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts if parts == (FACE,) or parts[-1] != FACE else parts[:-1])] = path
    return found


def imported(path: Path, name: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name within the package) of every import anywhere in a file, function bodies included."""
    package = ["symcheck", *name.split(".")]
    if path.stem != FACE:
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *((node.module or "").split(".") if node.module else [])])
            names = [f"{origin}.{name}" for name in names] if origin == "symcheck" else [origin]
        for full in names:
            if full.startswith("symcheck."):
                yield node.lineno, full.removeprefix("symcheck.")


def violations(root: Path) -> list[str]:
    """Imports that point up, or sideways between strangers; modules that have no layer."""
    found = []
    for name, path in modules(root).items():
        here = name.split(".")[0]
        if here == FACE:
            continue
        if here not in LEVEL:
            found.append(f"{name}: in no layer")
            continue
        for line, target in imported(path, name):
            there = target.split(".")[0]
            if there == "__version__":
                continue
            up = LEVEL.get(there, -1) > LEVEL[here]
            strange = here != there and any({here, there} <= group for group in STRANGERS)
            if up or strange or there not in LEVEL:
                found.append(f"{name}:{line} imports {target}")
    return found


def test_imports_point_down() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("file", "code", "found"),
    [
        ("errors.py", "from symcheck.registry import x", ""),
        ("grammar.py", "from symcheck.claim import Claim", "grammar:1 imports claim"),
        ("report/text.py", "import symcheck.groups.base", "report.text:1 imports groups.base"),
        ("groups/base.py", "def f():\n    from symcheck.actions import image", "groups.base:2 imports actions"),
        ("groups/base.py", "from symcheck import claim", "groups.base:1 imports claim"),
        ("groups/base.py", "from ..measure.audit import Audit", "groups.base:1 imports measure.audit"),
        ("groups/__init__.py", "from ..measure import audit", "groups:1 imports measure"),
        ("groups/base.py", "from .draws import Draws", ""),
        ("loading/data.py", "from symcheck.weights import trace", "loading.data:1 imports weights"),
        ("measure/audit.py", "from symcheck.claim import Claim", ""),
        ("measure/audit.py", "if x:\n    import symcheck.api", "measure.audit:2 imports api"),
        ("api.py", "from symcheck.cli.main import main", "api:1 imports cli.main"),
        ("stray.py", "", "stray: in no layer"),
        ("cli/audit.py", "from symcheck.stray import x", "cli.audit:1 imports stray"),
        ("__main__.py", "from symcheck.cli.main import main", ""),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, file: str, code: str, found: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(code)
    assert violations(tmp_path) == ([found] if found else [])


def light_modules() -> list[str]:
    reports = [name for name in modules(ROOT) if name.split(".")[0] in ("report", "gate", "topics")]
    return [f"symcheck{name}" for name in LIGHT] + [f"symcheck.{name}" for name in reports]


def loaded(code: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after `code`."""
    tail = f"\nimport sys\nprint('heavy:', *[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code + tail], capture_output=True, text=True, check=True, cwd=ROOT.parent, timeout=120
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_light_modules_load_nothing_heavy() -> None:
    assert loaded("\n".join(f"import {name}" for name in light_modules())) == set()


@pytest.mark.parametrize(
    "args", [["--help"], ["audit", "--help"], ["weights", "--help"], ["--version"], ["audit", "--foo"]]
)
def test_help_loads_nothing_heavy(args: list[str]) -> None:
    assert loaded(f"from symcheck.cli.main import main\nmain({args!r})") == set()


def test_reading_and_rendering_a_report_loads_nothing_heavy() -> None:
    code = """
from symcheck.report.markdown import render_markdown
from symcheck.report.model import Report
from symcheck.report.schema import schema
from symcheck.report.text import text_of
report = Report.from_json(Report({}, {}, {}, ()).to_json())
text_of(report), render_markdown(report), schema()
"""
    assert loaded(code) == set()


def test_a_planted_heavy_import_is_found() -> None:
    assert loaded("import numpy") == {"numpy"}
