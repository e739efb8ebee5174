"""Runs every subject of the gallery through the command line and writes its page, README.md, with pictures.

`python tests/gallery/gallery_make.py [--keep FOLDER] [NAME ...]`: with names only these are measured again, the reports
of the others are taken from the folder that an earlier run kept.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gallery_page import Shown, Weights, page
from gallery_rows import claim_of, smaller

from symcheck.claim import Claim
from symcheck.measure.worst import load_worst, save_worst
from symcheck.report import numbers
from symcheck.report.html.figures.canvas import as_figure
from symcheck.report.html.figures.curves import curve_panels
from symcheck.report.html.figures.distribution import distribution_panel
from symcheck.report.model import Report

HERE = Path(__file__).resolve().parent
LARGEST = 200_000  # bytes of worst pairs that are kept beside the page


def entries() -> dict[str, Any]:
    """What gallery.toml says of each subject."""
    return tomllib.loads((HERE / "gallery.toml").read_text())


def command(*arguments: str) -> tuple[int, str, float]:
    """Runs symcheck on one thread; the exit code, what it wrote to stderr, and the seconds of CPU that it took."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), environment.get("PYTHONPATH", "")])
    with tempfile.TemporaryFile("w+") as said:
        run = subprocess.Popen(
            [sys.executable, "-m", "symcheck", *arguments], stdout=subprocess.DEVNULL, stderr=said, env=environment
        )
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        return run.returncode, said.read(), used.ru_utime + used.ru_stime


def audit(name: str, folder: Path, claims: Sequence[str] = (), end: str = "") -> Report:
    """The report of one subject; the worst pairs are beside it."""
    out = folder / f"{name}{end}.json"
    code, said, took = command("audit", str(HERE / f"{name}.toml"), *claims, "-o", str(out), "-q", "--exit-zero")
    if code:
        raise RuntimeError(f"{name}: exit code {code}\n{said}")
    out.with_suffix(".took").write_text(f"{took:.0f}")
    return Report.from_json(out.read_text(), str(out))


def measured(name: str, folder: Path, again: bool) -> None:
    """Audits one subject, and the smaller groups of the claims that do not hold."""
    if not again and (folder / f"{name}.json").is_file():
        return
    report = audit(name, folder)
    claims = [text for claim in dict.fromkeys(f.claim for f in report.findings) for text in smaller(claim, report)]
    (folder / f"{name}.ladder.json").unlink(missing_ok=True)
    if claims:
        audit(name, folder, claims, ".ladder")


def shown(name: str, about: dict[str, Any], folder: Path) -> Shown:
    """One subject with its picture, its worst pairs and the check by hand."""
    report = Report.from_json((folder / f"{name}.json").read_text())
    steps = folder / f"{name}.ladder.json"
    ladder = Report.from_json(steps.read_text()) if steps.is_file() else None
    claims = tomllib.loads((HERE / f"{name}.toml").read_text())["claims"]
    says = {str(Claim.parse(text)): word for text, word in zip(claims, about["says"], strict=True)}
    pair = kept_pairs(name, report, says, folder)
    by_hand, clock = by_hand_says(name) if pair else "", folder / f"{name}.took"
    took = clock.read_text() if clock.is_file() else ""
    return Shown(name, about, report, says, took, ladder, picture(name, report), pair, by_hand)


def kept_pairs(name: str, report: Report, says: dict[str, str], folder: Path) -> str:
    """Keeps the worst pair of every claimed finding that does not hold, without the paths of this machine."""
    target = HERE / "worst" / f"{name}.safetensors"
    target.unlink(missing_ok=True)
    wanted = {(f.claim, f.output, f.part) for f in report.findings if not f.verdict.holds and says[f.claim] != "none"}
    if not wanted or not (HERE / "by_hand" / f"{name}.py").is_file():
        return ""
    pairs, origin = load_worst(folder / f"{name}.worst.safetensors")
    target.parent.mkdir(exist_ok=True)
    origin["model"] = re.sub(r"^.*/tests/gallery/", "tests/gallery/", str(origin.get("model", "")))
    save_worst(target, [p for p in pairs if (p.claim, p.output, p.part) in wanted], origin)
    if target.stat().st_size > LARGEST:
        raise RuntimeError(f"{target} is too large to be kept")
    return f"worst/{target.name}"


def by_hand_says(name: str, pairs: Path | None = None) -> str:
    """What the check in plain PyTorch prints."""
    path = pairs or HERE / "worst" / f"{name}.safetensors"
    command = [sys.executable, str(HERE / "by_hand" / f"{name}.py"), str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if run.returncode:
        raise RuntimeError(run.stderr)
    return run.stdout


def picture(name: str, report: Report) -> str:
    """The curve and the distribution of the worst finding of every claim, at most three."""
    rows: dict[str, Any] = {}
    for finding in numbers.worst_first(report.findings):
        panels = [*curve_panels(finding)[-1:], distribution_panel(finding)]
        panels = [panel for panel in panels if panel is not None]
        if panels and finding.claim not in rows:
            rows[finding.claim] = (f"{claim_of(finding)}, {numbers.label(finding)}: {finding.verdict}", panels)
    if not rows:
        return ""
    path = HERE / "pictures" / f"{name}.svg"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(as_figure(list(rows.values())[:3], "svg"))
    return f"pictures/{path.name}"


def weighed(name: str, about: dict[str, Any], folder: Path, again: bool) -> Weights:
    """What `symcheck weights` derives and proves, or what stopped it."""
    out, failed = folder / f"{name}.weights.json", folder / f"{name}.weights.txt"
    if again or not (out.is_file() or failed.is_file()):
        for path in (out, failed):
            path.unlink(missing_ok=True)
        given = about["weights"] if isinstance(about["weights"], list) else [f"{name}.toml"]
        arguments = [re.sub(r"^(\w[\w-]*\.(?:py:|toml))", rf"{HERE}/\1", text) for text in given]
        code, said, took = command("weights", *arguments, "--samples", "2", "-q", "--json", str(out))
        if code == 2:
            failed.write_text(said)
        else:
            data = {**json.loads(out.read_text()), "took": took}
            out.write_text(json.dumps(data))
    link = f"[{name}](#{name})" + (f", {about['weighed']}" if "weighed" in about else "")
    if failed.is_file():
        what = next(line for line in failed.read_text().splitlines() if line.startswith("symcheck: "))
        return Weights(name, (link, f"nothing: {what.removeprefix('symcheck: ')}", "–", "–", "–", "–"))
    data = json.loads(out.read_text())
    found, proofs = data["settings"]["weights"]["coverage"], data["settings"]["certificate"]["proofs"]
    said = f"10^{found['log10_permutations']:.0f} permutations, {found['signs']} signs"
    proved, near = ([p for p in proofs if p["verdict"] == word] for word in ("exact", "approximate"))
    acted = f"{100 * found['acted'] / found['parameters']:.1f} % of {found['parameters']:,}"
    worst = numbers.number(max((p["error"] for p in proved), default=None))
    said = f"{said}, {found['continuous']:,} dimensions"
    spaces = f"{len(proved)} exactly, {len(near)} nearly, of {len(proofs)} spaces"
    return Weights(name, (link, said, acted, spaces, worst, f"{data['took']:.0f} s"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="the subjects to measure again; without names all")
    parser.add_argument("--keep", type=Path, help="the folder where reports are kept")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="gallery-"))
    folder.mkdir(parents=True, exist_ok=True)
    known = entries()
    again = {name: not given.names or name in given.names for name in known}
    weights = {name: about for name, about in known.items() if about.get("weights")}
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(measured, name, folder, again[name]) for name in known]
        heavy = [pool.submit(weighed, name, about, folder, again[name]) for name, about in weights.items()]
        for job in jobs:
            job.result()
        tables = [job.result() for job in heavy]
    found = [shown(name, about, folder) for name, about in known.items()]
    (HERE / "README.md").write_text(page(found, tables, datetime.date.today().isoformat()))


if __name__ == "__main__":
    main()
