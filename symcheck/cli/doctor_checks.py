"""What `symcheck doctor` examines, stage by stage: first the packages, and what needs torch only where it loads."""

from __future__ import annotations

import importlib
import platform
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from symcheck.version import __version__

OLDEST = (3, 11)
FASTER = {"lapjv": "pip install lapjv makes assignments 2 to 3 times faster"}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: whether it is well (None: only told), what was found, and what to do."""

    name: str
    ok: bool | None
    found: str
    hint: str = ""


@dataclass(frozen=True)
class Stage:
    """Checks of one kind, and the seconds that they took."""

    name: str
    checks: tuple[Check, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(check.ok is not False for check in self.checks)


def examined() -> tuple[Stage, ...]:
    """Every stage in turn; without a torch that loads, the packages alone."""
    packages = stage("packages", lambda: versions(requirements()))
    if any(check.name == "torch" and not check.ok for check in packages.checks):
        return (packages,)
    from symcheck.cli import doctor_devices

    return packages, *(stage(name, checks) for name, checks in doctor_devices.STAGES.items())


def stage(name: str, checks: Callable[[], Iterator[Check]]) -> Stage:
    """Run the checks of a stage; one that raises has failed, and what raised it is what was found."""
    start = time.perf_counter()
    found: list[Check] = []
    try:
        found += checks()
    except Exception as error:
        found.append(Check(name, False, _said(error), "mend that first: the other checks of this stage were not made"))
    return Stage(name, tuple(found), time.perf_counter() - start)


def requirements() -> tuple[str, ...]:
    """What symcheck requires, with extras as markers; from its metadata, or from the project file of its source."""
    try:
        return tuple(metadata.requires("symcheck") or ())
    except metadata.PackageNotFoundError:
        file = Path(__file__).parents[2] / "pyproject.toml"
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        extras = project.get("optional-dependencies", {}).items()
        return (*project["dependencies"], *(f'{one}; extra == "{extra}"' for extra, each in extras for one in each))


def versions(required: tuple[str, ...]) -> Iterator[Check]:
    """Python, symcheck, every package that is required, and which extras are complete."""
    yield Check(
        "python", sys.version_info >= OLDEST, f"{platform.python_version()} on {platform.platform()}",
        "" if sys.version_info >= OLDEST else f"install Python {'.'.join(map(str, OLDEST))} or later",
    )  # fmt: skip
    yield Check("symcheck", True, __version__)
    from packaging.requirements import Requirement

    extras: dict[str, list[Requirement]] = {}
    for one in map(Requirement, required):
        extra = str(one.marker).partition("extra == ")[2].strip("\"'") if one.marker else ""
        if extra:
            extras.setdefault(extra, []).append(one)
        else:
            yield package(one.name, str(one.specifier))
    for extra, each in extras.items():
        missing = [one.name for one in each if installed(one.name) is None]
        found = f"missing: {', '.join(missing)}" if missing else "complete"
        yield Check(f"[{extra}]", None, found, f"pip install 'symcheck[{extra}]'" if missing else "")
    for name, gain in FASTER.items():
        yield Check(name, None, installed(name) or "missing", "" if installed(name) else gain)


def package(name: str, allowed: str = "") -> Check:
    """Whether a package is there, in a version that is allowed, and loads."""
    from packaging.specifiers import SpecifierSet

    remedy, version = f"pip install '{name}{allowed}'", installed(name)
    if version is None:
        return Check(name, False, "missing", remedy)
    if not SpecifierSet(allowed).contains(version, prereleases=True):
        return Check(name, False, f"{version}, but {allowed} is needed", remedy)
    try:
        importlib.import_module(name)
    except Exception as error:
        return Check(name, False, f"{version} does not load: {_said(error)}", f"{remedy} --force-reinstall")
    return Check(name, True, version)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def installed(name: str) -> str | None:
    """The version of a package, None where it is missing; nothing is loaded."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
