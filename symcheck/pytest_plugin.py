"""The pytest plugin: a fixture that asserts and collects, a marker for its defaults, and one report of the session.

    def test_rotations(symcheck):
        symcheck.assert_equivariant(model, "SO(3): points -> vector", inputs)

    pytest --symcheck-report=report.json
"""

from __future__ import annotations

import platform
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from symcheck.errors import SymcheckError
from symcheck.registry import suggest
from symcheck.report.outcome import Status
from symcheck.subject_file import subject_from
from symcheck.testing.session import Checks, Ending, Session
from symcheck.version import __version__

MARK = "symcheck(samples, elements, tolerance, seed): with what the symcheck fixture measures where a test does not say"
DEFAULTS = ("samples", "elements", "tolerance", "seed")
_SESSION = pytest.StashKey[Session]()
_CHECKS = pytest.StashKey[Checks]()
_HANDED = "symcheck"  # under this key a worker of pytest-xdist hands over what it collected


def pytest_addoption(parser: pytest.Parser) -> None:
    """--symcheck-report."""
    group = parser.getgroup("symcheck", "symmetry of neural networks")
    group.addoption(
        "--symcheck-report",
        metavar="PATH",
        action="append",
        default=[],
        help="write everything that the symcheck fixture found into one file; its suffix decides the format; repeat",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and refuse a destination that cannot be written, before a test runs."""
    config.addinivalue_line("markers", MARK)
    paths = tuple(Path(config.invocation_params.dir, given) for given in config.getoption("symcheck_report"))
    if paths and not _is_worker(config):
        from symcheck.report.write import check_path

        try:
            for path in paths:
                check_path(path)
        except SymcheckError as error:
            raise pytest.UsageError(f"--symcheck-report: {error}") from error
    config.stash[_SESSION] = Session(paths, time.perf_counter())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a marker that says something unknown or impossible before a test runs."""
    for item in items:
        marked_defaults(item)


def marked_defaults(item: pytest.Item) -> dict[str, Any]:
    """What the symcheck markers of a test say; the nearest one wins. Raises pytest.UsageError for what says nothing."""
    found: dict[str, Any] = {}
    for mark in item.iter_markers("symcheck"):
        odd = [*(str(value) for value in mark.args), *(key for key in mark.kwargs if key not in DEFAULTS)]
        if odd:
            hint = suggest(odd[0], list(DEFAULTS))
            raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.symcheck does not take '{odd[0]}'\nhint: {hint}")
        try:
            subject_from(mark.kwargs, item.path)
        except SymcheckError as error:
            raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.symcheck: {error}") from error
        found = {**mark.kwargs, **found}
    return found


@pytest.fixture
def symcheck(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checks:
    """Assertions on models, as in symcheck.testing, whose findings --symcheck-report collects.

    audit, assert_equivariant and assert_invariant take their defaults from @pytest.mark.symcheck(...). The worst pairs
    of a failure are saved beside the report, or in a temporary folder.
    """
    item, paths = request.node, request.config.stash[_SESSION].paths
    beside = paths[0] if paths else None
    checks = Checks(item.nodeid, marked_defaults(item), _place(item), beside, tmp_path_factory.mktemp)
    item.stash[_CHECKS] = checks
    return checks


def _place(item: pytest.Item) -> tuple[str, int]:
    file, line, _ = item.location
    return file, (line or 0) + 1


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note how each phase of a test ended; after the last one take over what the test found."""
    report = yield
    checks, ending = item.stash.get(_CHECKS, None), _ending(report, call)
    if checks is None and ending.bad and "symcheck" in getattr(item, "fixturenames", ()):
        checks = Checks(item.nodeid, {}, _place(item), None, Path)  # it broke before there was a fixture
        item.stash[_CHECKS] = checks
    if checks is not None:
        checks.endings.append(ending)
        if call.when == "teardown":
            item.config.stash[_SESSION].take(checks)
            del item.stash[_CHECKS]
    return report


def _ending(report: pytest.TestReport, call: pytest.CallInfo[None]) -> Ending:
    """How a phase ended; a failed assertion fails, any other error leaves unknown what would have been found."""
    xfail = getattr(report, "wasxfail", None)
    if call.excinfo is None:
        return Ending(report.outcome, xfail, Status.FAILED, str(report.longrepr or ""))
    judged = isinstance(call.excinfo.value, AssertionError | pytest.fail.Exception)
    words = next(iter(call.excinfo.exconly().splitlines()), "")
    return Ending(report.outcome, xfail, Status.FAILED if judged else Status.UNMEASURED, words)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker of pytest-xdist has ended: take over what it collected."""
    session = node.config.stash[_SESSION]
    handed = getattr(node, "workeroutput", {}).get(_HANDED)
    if handed is None:
        session.lost(str(getattr(node.gateway, "id", "worker")), str(error or "it handed nothing over"))
    else:
        session.join(handed)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over as a worker; else write the report: without it, or when it does not hold, the run has not succeeded."""
    config = session.config
    collected = config.stash[_SESSION]
    if _is_worker(config):
        config.workeroutput[_HANDED] = collected.to_json()  # type: ignore[attr-defined]
    elif collected.paths and not config.option.collectonly:
        if session.exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR):
            collected.lost("pytest", "the run ended before all tests had run")
        environment = {"pytest": pytest.__version__, "python": platform.python_version(), "symcheck": __version__}
        try:
            code = collected.write(str(config.inipath or config.rootpath), environment)
        except SymcheckError as error:
            collected.summary = f"no report: {error}"
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
            return
        if code and session.exitstatus == pytest.ExitCode.OK:
            nothing = not collected.outcomes
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED if nothing else pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Where the report is, and what it says."""
    if summary := config.stash[_SESSION].summary:
        terminalreporter.section("symcheck")
        for line in summary.splitlines():
            terminalreporter.write_line(line)


def _is_worker(config: pytest.Config) -> bool:
    return getattr(config, "workerinput", None) is not None
