"""Just enough of a runner to run a composite action: its expressions, its files, its shell."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sample
import yaml

ACTION = sample.ROOT / ".github" / "actions" / "gate" / "action.yml"
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", flags=re.S)
FAKE_PIP = """
import json, os, sys
with open(os.environ["RECORDED"], "a", encoding="utf-8") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
"""


def read_action(path: Path = ACTION) -> dict[str, Any]:
    """The action, as data."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def faults(action: Mapping[str, Any]) -> Iterator[str]:
    """How text from outside could become code, and inputs that do nothing."""
    declared, used = set(action["inputs"]), set()
    for step in action["runs"]["steps"]:
        name = step.get("name", "?")
        if step.get("shell") != "bash":
            yield f"{name}: the shell is not bash"
        for key, value in step.items():
            if key != "env" and EXPRESSION.search(str(value)):
                yield f"{name}: an expression in '{key}'"
        if re.search(r"\beval\b|\bbash -c\b|\bsh -c\b", step.get("run", "")):
            yield f"{name}: a text is executed"
        for variable, value in step.get("env", {}).items():
            given = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", str(value))
            if given is None or given[1] not in declared:
                yield f"{name}: {variable} is not exactly one input"
            elif not re.search(rf"\${variable}\b", step.get("run", "")):
                yield f"{name}: {variable} is not read"
            else:
                used.add(given[1])
    yield from (f"the input '{name}' does nothing" for name in sorted(declared - used))


@dataclass(frozen=True)
class Ran:
    """What a run of the action left behind."""

    code: int
    log: str
    outputs: Mapping[str, str]
    summary: str
    pip: str


def run_action(action: Mapping[str, Any], workspace: Path, **inputs: str) -> Ran:
    """Run the steps of the action in `workspace`, until one fails; `_` in the name of an input stands for `-`."""
    given = {name: str(spec.get("default", "")) for name, spec in action["inputs"].items()}
    given |= {name.replace("_", "-"): value for name, value in inputs.items()}
    runner = workspace.parent / "runner"
    write_fake_pip(runner / "fake" / "pip")
    files = {name: runner / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "RECORDED")}
    for path in files.values():
        path.write_text("")
    environment = sample.environment(
        PIP_REQUIRE_VIRTUALENV="1", PIP_DRY_RUN="1", PIP_NO_INDEX="1",  # were the real one met, it would do nothing
        GITHUB_ACTIONS="true", GITHUB_WORKSPACE=str(workspace), GITHUB_ACTION_PATH=str(ACTION.parent),
        **{name: str(path) for name, path in files.items()},
    )  # fmt: skip
    environment["PYTHONPATH"] = os.pathsep.join([str(runner / "fake"), environment["PYTHONPATH"]])
    code, log = 0, ""
    for i, step in enumerate(action["runs"]["steps"]):
        script = runner / f"step{i}.sh"
        script.write_text(evaluated(step["run"], given), encoding="utf-8")
        own = {name: evaluated(value, given) for name, value in step.get("env", {}).items()}
        command = ["bash", "--noprofile", "--norc", "-euo", "pipefail", str(script)]
        done = subprocess.run(
            command, cwd=workspace, env={**environment, **own},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        code, log = done.returncode, log + done.stdout
        if code:
            break
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    return Ran(code, log, outputs_of(texts["GITHUB_OUTPUT"]), texts["GITHUB_STEP_SUMMARY"], texts["RECORDED"])


def write_fake_pip(folder: Path) -> None:
    """A package that `python -m pip` finds before the real one, when its parent stands on PYTHONPATH."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text("")
    (folder / "__main__.py").write_text(FAKE_PIP)


def evaluated(text: str, inputs: Mapping[str, str]) -> str:
    """The text with its expressions replaced, as the runner pastes them before any shell sees them."""
    return EXPRESSION.sub(lambda found: inputs[found[1].removeprefix("inputs.")], text)


def outputs_of(text: str) -> dict[str, str]:
    """What a step has written to GITHUB_OUTPUT: `name=value`, or `name<<mark` and lines up to the mark."""
    found: dict[str, str] = {}
    for one, value, several, mark, lines in re.findall(
        r"(?m)^(?:([^=\n]+?)=(.*)|([^=\n]+?)<<(.+)\n(?s:(.*?))\n\4)$", text
    ):
        found |= {several: lines} if mark else {one: value}
    return found
