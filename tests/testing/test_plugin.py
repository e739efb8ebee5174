"""The pytest plugin, run on test suites written for the purpose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import torch

import symcheck.api
import symcheck.testing.outputs
import symcheck.testing.same  # what is imported within an inner run is forgotten after it, which torch does not survive
from symcheck.measure.worst import load_worst
from symcheck.report.outcome import GateReport
from symcheck.report.schema import schema

pytest_plugins = ["pytester"]

ROOT = Path(symcheck.api.__file__).parents[1]
HEAD = """
import pytest
import torch

IMAGES = torch.randn(12, 1, 6, 6, generator=torch.Generator().manual_seed(0))
CLAIM = "C4: image -> invariant"

def good(image):
    return image.square().mean((2, 3))

def leaky(image):
    return good(image) + 0.1 * image[..., 0].mean(2)
"""
GOOD = """
def test_good(symcheck):
    assert symcheck.assert_equivariant(good, CLAIM, IMAGES).holds
"""
LEAKY = """
def test_leaky(symcheck):
    symcheck.assert_equivariant(leaky, CLAIM, IMAGES)
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the plugin that is tested, whatever else is installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


def run(pytester: pytest.Pytester, body: str, *options: str, plugins: tuple[Any, ...] = ()) -> pytest.RunResult:
    pytester.makepyfile(test_inner=HEAD + body)
    return pytester.runpytest_inprocess("-p", "symcheck.pytest_plugin", *options, plugins=list(plugins))


def report(path: Path) -> GateReport:
    return GateReport.from_dict(json.loads(path.read_text()))


def test_a_healthy_test_passes_and_a_leaky_one_says_why(pytester: pytest.Pytester) -> None:
    result = run(pytester, GOOD + LEAKY)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["E*AssertionError: leaky is not as claimed: 1 broken", "E*broken: C4: image -> invariant (output)",
         "E*error * % [[]*[]] of the spread, floor *; demanded: tolerance 0.1 %", "E*worst * % at C4: turn *, sample *",
         "E*replay: symcheck audit --replay *.worst.safetensors --model MODULE:FACTORY"]
    )  # fmt: skip
    result.stdout.no_fnmatch_line("*symcheck/testing*")  # the traceback ends in the test
    result.stdout.no_fnmatch_line("*= symcheck =*")
    result.stdout.fnmatch_lines(["symcheck = <the symcheck fixture of test_inner.py::test_leaky>"])


def test_the_report_holds_every_finding_and_the_worst_pairs_lie_beside_it(pytester: pytest.Pytester) -> None:
    path = pytester.path / "out" / "all.json"
    path.parent.mkdir()
    result = run(pytester, GOOD + LEAKY, f"--symcheck-report={path}")
    result.stdout.fnmatch_lines(["*= symcheck =*", f"failed: 1 passed, 1 failed; report in {path}"])
    found = report(path)
    assert [(o.status, o.place.file, o.check) for o in found.outcomes] == [
        ("passed", "test_inner.py", "claim"),
        ("failed", "test_inner.py", "claim"),
    ]
    assert found.outcomes[1].gate == "test_inner.py::test_leaky: C4: image -> invariant, output"
    lines = (pytester.path / "test_inner.py").read_text().splitlines()
    assert lines[found.outcomes[1].place.line - 1].startswith("def test_leaky")
    assert [r.subject["name"] for r in found.reports] == ["good", "leaky"] and found.exit_code == 1
    (worst,) = path.parent.glob("*.worst.safetensors")
    assert str(worst) in found.outcomes[1].replay and load_worst(worst)[0][0].claim == "C4: image -> invariant"
    assert not found.outcomes[0].replay
    jsonschema.validate(json.loads(path.read_text()), schema("gate"))


def test_the_suffix_decides_the_format(pytester: pytest.Pytester) -> None:
    for suffix in ("md", "txt", "html", "xml", "csv"):
        result = run(pytester, GOOD, f"--symcheck-report=all.{suffix}")
        assert result.ret == 0
        assert "C4: image" in (pytester.path / f"all.{suffix}").read_text()


@pytest.mark.parametrize("given", ["all.pdff", "no/such/folder/all.json", "."])
def test_a_bad_destination_is_refused_before_any_test(pytester: pytest.Pytester, given: str) -> None:
    result = run(pytester, LEAKY, f"--symcheck-report={given}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --symcheck-report: *", "*hint: *"])
    result.stdout.no_fnmatch_line("*test_leaky*")


IDLE = ["def test_plain(): pass", "def test_audit(symcheck): symcheck.audit(good, CLAIM, IMAGES)"]


@pytest.mark.parametrize("body", IDLE)
def test_a_report_of_nothing_is_no_success(pytester: pytest.Pytester, body: str) -> None:
    result = run(pytester, body, "--symcheck-report=all.json")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["unmeasured: nothing was asserted; *", "no test asserted anything*does not hold"])
    assert report(pytester.path / "all.json").exit_code == 2
    assert run(pytester, body).ret == 0


def test_an_audit_is_reported_and_not_judged(pytester: pytest.Pytester) -> None:
    body = GOOD + "def test_known(symcheck): assert symcheck.audit(leaky, CLAIM, IMAGES).worst == 'broken'"
    assert run(pytester, body, "--symcheck-report=all.json").ret == 0
    found = report(pytester.path / "all.json")
    assert len(found.reports) == 2 and [o.status for o in found.outcomes] == ["passed"]


def test_failures_that_a_test_expects_are_waived(pytester: pytest.Pytester) -> None:
    body = """
@pytest.mark.xfail(reason="known since May")
def test_known(symcheck):
    symcheck.assert_equivariant(leaky, CLAIM, IMAGES)

def test_found(symcheck):
    with pytest.raises(AssertionError):
        symcheck.assert_invariant(leaky, "C4: image", IMAGES)
"""
    assert run(pytester, body, "--symcheck-report=all.json").ret == 0
    found = report(pytester.path / "all.json")
    assert [(o.status, o.waiver) for o in found.outcomes] == [
        ("waived", "known since May"), ("waived", "the test passed: it expects this")
    ]  # fmt: skip


def test_what_could_not_be_measured_is_in_the_report(pytester: pytest.Pytester) -> None:
    body = "def test_typo(symcheck): symcheck.assert_equivariant(good, 'C4: imagge -> invariant', IMAGES)"
    run(pytester, GOOD + body, "--symcheck-report=all.json").assert_outcomes(passed=1, failed=1)
    found = report(pytester.path / "all.json")
    assert [o.status for o in found.outcomes] == ["passed", "unmeasured"] and found.exit_code == 2
    assert "imagge" in found.outcomes[1].reason and "image" in found.outcomes[1].advice


def test_same_function_is_collected_too(pytester: pytest.Pytester) -> None:
    body = """
def test_same(symcheck):
    symcheck.assert_same_function(good, lambda image: good(image.flip(2)), IMAGES)

def test_shapes(symcheck):
    symcheck.assert_same_function(good, lambda image: image, IMAGES)
"""
    run(pytester, body, "--symcheck-report=all.json").assert_outcomes(passed=1, failed=1)
    found = report(pytester.path / "all.json")
    assert [(o.status, o.check) for o in found.outcomes] == [("passed", "same-function"), ("failed", "same-function")]
    assert "the outputs of a are" in found.outcomes[1].reason


def test_markers_give_defaults_and_the_nearest_wins(pytester: pytest.Pytester) -> None:
    body = """
pytestmark = pytest.mark.symcheck(samples=5, elements=4, seed=3)

@pytest.mark.symcheck(samples=6, tolerance=0.5)
def test_near(symcheck):
    for report in (
        symcheck.audit(good, "Shift: image -> invariant", IMAGES),
        symcheck.assert_equivariant(good, "Shift: image -> invariant", IMAGES),
        symcheck.assert_invariant(good, "Shift: image", IMAGES),
    ):
        assert [report.settings[k] for k in ("samples", "elements", "seed", "tolerance")] == [6, 4, 3, 0.5]
    report = symcheck.audit(good, CLAIM, IMAGES, samples=7)
    assert report.settings["samples"] == 7 and report.settings["tolerance"] == 0.5

def test_far(symcheck):
    report = symcheck.audit(good, CLAIM, IMAGES)
    assert report.settings["samples"] == 5 and report.settings["tolerance"] == 1e-3
"""
    run(pytester, body, "--strict-markers").assert_outcomes(passed=2)


@pytest.mark.parametrize(("mark", "odd"), [("sampels=3", "sampels"), ("3", "3"), ("device='cpu'", "device")])
def test_unknown_keys_of_a_marker_are_refused(pytester: pytest.Pytester, mark: str, odd: str) -> None:
    result = run(pytester, f"@pytest.mark.symcheck({mark})\ndef test_plain(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*test_inner.py::test_plain: *symcheck does not take '{odd}'", "hint: *"])


def test_nothing_global_is_changed(pytester: pytest.Pytester) -> None:
    before = torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled()
    run(pytester, GOOD).assert_outcomes(passed=1)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (torch.get_default_dtype(), torch.is_grad_enabled())


class Worker:
    """What pytest-xdist gives to a worker."""

    def __init__(self) -> None:
        self.output: dict[str, Any] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.workerinput = {"workerid": "gw0"}  # type: ignore[attr-defined]
        config.workeroutput = self.output  # type: ignore[attr-defined]


class Controller:
    """Tells the plugin that workers have ended, as pytest-xdist does."""

    def __init__(self, *nodes: SimpleNamespace) -> None:
        self.nodes = nodes

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        for node in self.nodes:
            node.config = session.config
            plugin = session.config.pluginmanager.get_plugin("symcheck.pytest_plugin")
            plugin.pytest_testnodedown(node, node.error)


def node(output: dict[str, Any], error: object = None, name: str = "gw0") -> SimpleNamespace:
    return SimpleNamespace(workeroutput=output, error=error, gateway=SimpleNamespace(id=name))


def test_workers_hand_over_and_the_controller_writes(pytester: pytest.Pytester) -> None:
    workers = [Worker(), Worker()]
    for worker, body in zip(workers, (GOOD, LEAKY), strict=True):
        run(pytester, body, "--symcheck-report=all.json", plugins=(worker,))
        assert not (pytester.path / "all.json").exists()
    controller = Controller(*(node(json.loads(json.dumps(worker.output))) for worker in workers))
    run(pytester, "", "--symcheck-report=all.json", plugins=(controller,))
    found = report(pytester.path / "all.json")
    assert [o.status for o in found.outcomes] == ["passed", "failed"] and len(found.reports) == 2


def test_a_lost_worker_is_no_pass(pytester: pytest.Pytester) -> None:
    worker = Worker()
    run(pytester, GOOD, "--symcheck-report=all.json", plugins=(worker,))
    lost = node({}, "Not properly terminated", "gw1")
    run(pytester, "", "--symcheck-report=all.json", plugins=(Controller(node(worker.output), lost),))
    found = report(pytester.path / "all.json")
    assert [o.status for o in found.outcomes] == ["unmeasured", "passed"] and found.exit_code == 2
    assert found.outcomes[0].gate == "gw1" and "Not properly" in found.outcomes[0].reason


# As other projects meet it: found by its entry point, in a fresh interpreter


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a project, beside what an installation of this package tells pytest."""
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    info = tmp_path / "site" / "symcheck-0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: symcheck\nVersion: 0.0\n")
    lines = [f"{name} = {module}" for name, module in entry.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), str(ROOT)]))
    project = tmp_path / "project"
    project.mkdir()
    (project / "pytest.ini").write_text("[pytest]\n")
    shown = "[m for m in ('torch', 'numpy', 'rich') if m in sys.modules]"
    (project / "conftest.py").write_text(f"import sys\n\ndef pytest_unconfigure():\n    print('heavy:', *{shown})\n")
    return project


def fresh(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", *options]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, check=False)


def test_the_entry_point_is_found_and_an_idle_plugin_loads_nothing_heavy(installed: Path) -> None:
    (installed / "test_plain.py").write_text("def test_plain(): pass\n")
    done = fresh(installed)
    assert done.returncode == 0 and "symcheck-0.0" in done.stdout and "heavy:\n" in done.stdout
    assert "--symcheck-report=PATH" in fresh(installed, "--help").stdout
    assert "@pytest.mark.symcheck(samples, elements, tolerance, seed)" in fresh(installed, "--markers").stdout


def test_the_plugin_can_be_switched_off(installed: Path) -> None:
    (installed / "test_good.py").write_text(HEAD + GOOD)
    assert fresh(installed).returncode == 0
    done = fresh(installed, "-p", "no:symcheck")
    assert done.returncode == 1 and "fixture 'symcheck' not found" in done.stdout


@pytest.mark.parametrize("module", ["symcheck.testing", "symcheck.pytest_plugin", "symcheck.testing.assertions"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import {module}, sys; print([m for m in ('torch', 'numpy', 'scipy') if m in sys.modules])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
