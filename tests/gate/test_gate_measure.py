"""What the gates measure: shared audits, more draws until a gate is decided, and reports judged without a model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from symcheck.cli.gate_run import Asked, run_gates
from symcheck.cli.main import main
from symcheck.errors import ConfigError, SymcheckError
from symcheck.report.documents import read_document
from symcheck.report.outcome import GateReport, Outcome, Status
from symcheck.report.write import write_report

MODEL = '''
import torch
from torch import nn

class Energy(nn.Module):
    """Invariant under rotations, up to a leak along one axis."""
    def __init__(self):
        super().__init__()
        self.radial = nn.Parameter(torch.tensor([0.7, 1.3, 2.1]))
        self.bias = nn.Parameter(torch.tensor(0.4))
        self.leak = nn.Parameter(torch.tensor([0.01, 0.0]))
    def forward(self, x):
        squared = x.square().sum(-1, keepdim=True)
        energy = torch.tanh(squared * self.radial + self.bias).sum((1, 2))
        return {"energy": energy + self.leak[0] * torch.tanh(x[:, 0, 0] + 0.3)}
'''
CLAIM = "SO(3): x=points -> energy=scalar"
HEAD = '[subject.net]\ncheckpoint = "net.safetensors"\nmodel = "net.py:Energy"\ninputs = { x = "normal(5,3)" }\n'
WEIGHTS = {"radial": torch.tensor([0.7, 1.3, 2.1]), "bias": torch.tensor(0.4), "leak": torch.tensor([0.01, 0.0])}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(MODEL)
    save_file(WEIGHTS, tmp_path / "net.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(project: Path, *gates: str, head: str = HEAD) -> None:
    text = "\n".join(f'[[gate]]\nid = "g{i}"\n{gate}\n' for i, gate in enumerate(gates))
    (project / "symcheck.toml").write_text(head + text)


def claim(rest: str, text: str = CLAIM) -> str:
    return f'claim = "{text}"\n{rest}'


def run(**asked: object) -> GateReport:
    return run_gates(Asked(**asked)).report  # type: ignore[arg-type]


def one(report: GateReport) -> Outcome:
    assert len(report.outcomes) == 1
    return report.outcomes[0]


def value(project: Path) -> tuple[float, float]:
    """The measured mean and the upper end of its interval."""
    config(project, claim("limit = 1.0"))
    found = one(run())
    assert found.value is not None and found.high is not None
    return found.value, found.high


def test_gates_of_one_subject_share_an_audit(project: Path) -> None:
    other = "S: x=nodes -> energy=invariant"
    config(
        project, claim("limit = 1.0"), claim('limit = 1.0\nstat = "max"'), claim("limit = 1e-9"),
        claim("limit = 2.0", other), claim("limit = 1.0\nelements = 8"), claim("limit = 1.0\nfraction = 0.1"),
    )  # fmt: skip
    report = run()
    assert [o.status for o in report.outcomes] == ["passed", "passed", "failed", "passed", "passed", "passed"]
    assert len(report.reports) == 3
    shared = next(r for r in report.reports if len(r.settings["claims"]) == 2)
    assert shared.settings["tolerance"][CLAIM] == 1e-9  # the smallest limit of the gates on the mean
    certified = next(o for o in report.outcomes if o.gate == "g5")
    assert "of n = 29 independent pairs" in certified.reason and "at confidence 95 %" in certified.rule


def test_more_draws_decide(project: Path) -> None:
    mean, high = value(project)
    limit = mean + (high - mean) / 3
    config(project, claim(f"limit = {limit!r}"))
    undecided = one(run())
    assert undecided.status is Status.INCONCLUSIVE and "samples" in undecided.advice
    report = run(until_decided=True, budget=10**7)
    assert one(report).status in (Status.PASSED, Status.FAILED)
    counts = [r.findings[0].counts.samples for r in report.reports]
    assert len(counts) > 1 and counts == sorted(counts)
    assert one(run(until_decided=True, budget=64 * 32)).status is Status.INCONCLUSIVE


def test_data_that_have_no_more_end_the_looking(project: Path) -> None:
    x = torch.randn(40, 5, 3, generator=torch.Generator().manual_seed(0))
    save_file({"x": x}, project / "x.safetensors")
    head = HEAD.replace('{ x = "normal(5,3)" }', '"x.safetensors"')
    config(project, claim("limit = 1.0", "C4: x=points -> energy=scalar"), head=head)
    found = one(run())
    assert found.value is not None
    config(project, claim(f"limit = {found.value!r}", "C4: x=points -> energy=scalar"), head=head)
    report = run(until_decided=True, budget=10**7)
    assert one(report).status is Status.INCONCLUSIVE and len(report.reports) == 1


def test_one_subject_that_is_missing_hides_no_other(project: Path) -> None:
    lost = HEAD + HEAD.replace("subject.net", "subject.lost").replace("net.safetensors", "lost.safetensors")
    config(project, claim('subject = "net"\nlimit = 1e-9'), claim('subject = "lost"\nlimit = 1.0'), head=lost)
    report = run()
    assert [o.status for o in report.outcomes] == [Status.FAILED, Status.UNMEASURED] and report.exit_code == 2
    assert "lost.safetensors" in report.outcomes[1].reason


def test_a_report_is_judged_as_the_measurement_was(project: Path) -> None:
    config(project, claim("limit = 1.0"), claim("limit = 1e-9"), claim("limit = 1.0\nfraction = 0.1"))
    measured = run(outputs=(project / "gate.json",))
    audit = project / "audit.json"
    write_report(measured.reports[0], audit)
    again = run(reports=(project / "gate.json",))
    facts = [[(o.gate, o.status, o.value) for o in found.outcomes] for found in (again, measured)]
    assert facts[0] == facts[1]
    only = run(reports=(audit,), only=("g0", "g1"))
    assert [o.status for o in only.outcomes] == [Status.PASSED, Status.FAILED]
    assert one(run(reports=(audit,), only=("g2",))).status is Status.UNMEASURED  # it holds no certificate


def test_reports_of_something_else_are_not_judged(project: Path) -> None:
    config(project, claim("limit = 1.0"))
    run(outputs=(project / "gate.json",))
    save_file({**WEIGHTS, "leak": torch.tensor([5.0, 0.0])}, project / "net.safetensors")
    stale = one(run(reports=(project / "gate.json",)))
    assert stale.status is Status.UNMEASURED and "another file" in stale.reason
    (project / "net.safetensors").unlink()
    assert one(run(reports=(project / "gate.json",))).status is Status.PASSED  # judged where the model is not
    document = json.loads((project / "gate.json").read_text())
    for report in document["reports"]:
        report["subject"] |= {"name": "other", "path": "other.safetensors"}
    (project / "other.json").write_text(json.dumps(document))
    foreign = one(run(reports=(project / "other.json",)))
    assert foreign.status is Status.UNMEASURED and "other" in foreign.reason
    with pytest.raises(SymcheckError):
        run(reports=(project / "nothing.json",))


@pytest.mark.parametrize("name", ["net.py", "x.npz", "other.safetensors", "net.safetensors"])
def test_a_report_of_other_files_is_not_judged(name: str, project: Path) -> None:
    x = torch.randn(40, 5, 3, generator=torch.Generator().manual_seed(0))
    np.savez(project / "x.npz", x=x.numpy())
    shutil.copy("net.safetensors", "other.safetensors")
    config(
        project, claim("limit = 1.0"), 'check = "same-function"\nagainst = "other.safetensors"',
        head=HEAD.replace('{ x = "normal(5,3)" }', '"x.npz"'),
    )  # fmt: skip
    run(outputs=(project / "gate.json",))
    assert run(reports=(project / "gate.json",)).exit_code == 0
    if name == "net.py":
        (project / name).write_text(MODEL + "# another line\n")
    elif name == "x.npz":
        np.savez(project / name, x=x.numpy()[::-1])
    else:
        save_file({**WEIGHTS, "bias": torch.tensor(0.5)}, project / name)
    found = run(reports=(project / "gate.json",))
    stale = [o.gate for o in found.outcomes if o.status is Status.UNMEASURED and name in o.reason]
    assert stale == (["g1"] if name == "other.safetensors" else ["g0", "g1"]) and found.exit_code == 2


def test_a_report_answers_only_what_was_asked(project: Path) -> None:
    """Another network from the same checkpoint, another seed, other inputs, fewer draws: not this gate's report."""
    bent = MODEL.replace("def __init__(self):", "def __init__(self, bend=0.0):\n        self.bend = bend")
    bent = bent.replace("return {", "energy = energy + self.bend * x[:, 0, 1]\n        return {")
    bent = bent.replace("self.bend = bend\n        super().__init__()", "super().__init__()\n        self.bend = bend")
    (project / "net.py").write_text(bent)
    both = HEAD + HEAD.replace("subject.net", "subject.bent") + "arguments = { bend = 1.0 }\n"
    config(project, claim('subject = "net"\nlimit = 0.1'), claim('subject = "bent"\nlimit = 0.1'), head=both)
    statuses = [o.status for o in run(outputs=(project / "gate.json",)).outcomes]
    assert statuses == [Status.PASSED, Status.FAILED]
    assert [o.status for o in run(reports=(project / "gate.json",)).outcomes] == statuses
    for flags, word in (({"seed": 5}, "seed"), ({"samples": 65}, "samples"), ({"elements": 99}, "elements")):
        again = run(reports=(project / "gate.json",), flags=flags)
        assert {o.status for o in again.outcomes} == {Status.UNMEASURED} and word in again.outcomes[0].reason
    assert run(reports=(project / "gate.json",), flags={"samples": 8}).exit_code == 1
    config(project, claim('subject = "net"\nlimit = 0.1'), head=both.replace("normal(5,3)", "normal(4,3)"))
    assert "inputs" in one(run(reports=(project / "gate.json",))).reason


def test_checkpoints_of_one_name_have_reports_of_their_own(project: Path) -> None:
    for folder, leak in (("a", 0.0), ("b", 5.0)):
        (project / folder).mkdir()
        save_file({**WEIGHTS, "leak": torch.tensor([leak, 0.0])}, project / folder / "net.safetensors")
    heads = [HEAD.replace("subject.net", f"subject.{f}").replace('"net.saf', f'"{f}/net.saf') for f in "ab"]
    config(project, claim('subject = "a"\nlimit = 0.1'), claim('subject = "b"\nlimit = 0.1'), head="".join(heads))
    statuses = [o.status for o in run(outputs=(project / "gate.json",)).outcomes]
    assert statuses == [Status.PASSED, Status.FAILED]
    assert [o.status for o in run(reports=(project / "gate.json",)).outcomes] == statuses


def test_an_array_that_is_ignored_changes_nothing(project: Path) -> None:
    x = torch.randn(40, 5, 3, generator=torch.Generator().manual_seed(0))
    np.savez(project / "x.npz", x=x.numpy(), y=np.zeros(40))
    text = "SO(3): x=points, y=ignore -> energy=scalar"
    config(project, claim("limit = 1.0\nfraction = 0.1", text), claim("limit = 1.0", text),
           head=HEAD.replace('{ x = "normal(5,3)" }', '"x.npz"'))  # fmt: skip
    report = run()
    assert [o.status for o in report.outcomes] == [Status.PASSED] * 2
    assert {f.tolerance for r in report.reports for f in r.findings} == {1.0}


def test_a_claim_that_does_not_fit_hides_no_other(project: Path) -> None:
    config(project, claim("limit = 1.0"), claim("limit = 1.0", "SO(3): x=points -> energi=scalar"))
    report = run()
    assert [o.status for o in report.outcomes] == [Status.PASSED, Status.UNMEASURED]
    assert "energi" in report.outcomes[1].reason


def test_ratchets_stay_on_their_draws_when_more_are_made(project: Path) -> None:
    mean, high = value(project)
    limit = mean + (high - mean) / 3
    config(project, claim(f"limit = {limit!r}\nratchet = 0.1"), head='baseline = "base.jsonl"\n' + HEAD)
    run(update=True, until_decided=True, budget=10**7)
    before = (project / "base.jsonl").read_text()
    decided = one(run(until_decided=True, budget=10**7))
    assert decided.status in (Status.PASSED, Status.FAILED)
    assert "32 × 64" in json.loads(before.splitlines()[1])["draws"] if decided.status is Status.PASSED else True


def test_more_pairs_decide_a_certificate(project: Path) -> None:
    mean, _ = value(project)
    config(project, claim(f"limit = {mean!r}\nfraction = 0.95"))
    draws = [f.certificate.draws for r in run(until_decided=True, budget=10**7).reports for f in r.findings]  # type: ignore[union-attr]
    assert draws == sorted(draws)


def test_an_update_keeps_what_it_could_not_measure(project: Path) -> None:
    config(project, claim("limit = 1.0\nratchet = 0.1"), head='baseline = "base.jsonl"\n' + HEAD)
    run(update=True)
    before = (project / "base.jsonl").read_text()
    (project / "net.safetensors").rename(project / "away.safetensors")
    run(update=True)
    assert (project / "base.jsonl").read_text() == before
    save_file({**WEIGHTS, "leak": torch.tensor([0.5, 0.0])}, project / "net.safetensors")
    done = run_gates(Asked(update=True))
    assert [change.kind for change in done.changes] == ["refused to loosen"] and done.exit_code == 1
    assert (project / "base.jsonl").read_text() == before


def test_a_quantile_on_the_same_draws_is_not_worse_than_itself(project: Path) -> None:
    gates = [claim(f'limit = 9.0\nratchet = 0.0\nstat = "{stat}"') for stat in ("q95", "q99", "max", "mean")]
    gates.append(claim('limit = 9.0\nratchet = 0.0\nmetric = "share"'))
    config(project, *gates, head='baseline = "base.jsonl"\n' + HEAD)
    run(update=True)
    statuses = {o.gate: o.status for o in run().outcomes}
    assert {status for gate, status in statuses.items() if gate != "g1"} == {Status.PASSED}


def test_a_changed_seed_is_no_comparison(project: Path) -> None:
    config(project, claim("limit = 1.0\nratchet = 0.1"), head='baseline = "base.jsonl"\n' + HEAD)
    with pytest.raises(ConfigError, match="no baseline"):
        run()
    run(update=True)
    assert one(run()).status is Status.PASSED
    other = one(run(flags={"seed": 3}))
    assert other.status is Status.UNMEASURED and "other draws" in other.reason
    save_file({**WEIGHTS, "leak": torch.tensor([0.012, 0.0])}, project / "net.safetensors")
    worse = one(run())
    assert worse.status is Status.FAILED and "worse than the baseline" in worse.reason and worse.baseline is not None


def test_weights_functions_and_barriers(project: Path) -> None:
    same = {**WEIGHTS, "leak": torch.tensor([0.01, 7.0])}  # the second number is never read
    save_file(same, project / "same.safetensors")
    save_file({**WEIGHTS, "bias": torch.tensor(0.41)}, project / "other.safetensors")
    config(
        project, 'check = "same-function"\nagainst = "same.safetensors"',
        'check = "same-function"\nagainst = "other.safetensors"',
        'check = "same-function"\nagainst = "other.safetensors"\nlimit = 0.1',
        'check = "same-function"\nagainst = "lost.safetensors"',
    )  # fmt: skip
    report = run(outputs=(project / "gate.json",))
    expected = [Status.PASSED, Status.FAILED, Status.PASSED, Status.UNMEASURED]
    assert [o.status for o in report.outcomes] == expected
    again = run(reports=(project / "gate.json",))
    assert [o.status for o in again.outcomes] == expected


def test_a_report_of_gates_comes_back_whole(project: Path) -> None:
    config(project, claim("limit = 1.0"))
    report = run(outputs=(project / "gate.json",))
    again = read_document(project / "gate.json")
    assert isinstance(again, GateReport) and again.to_dict() == report.to_dict()


def test_judging_a_report_loads_no_torch(project: Path) -> None:
    config(project, claim("limit = 1.0"))
    run(outputs=(project / "gate.json",))
    shutil.copy(project / "gate.json", project / "r.json")
    code = (
        "import sys\nfrom symcheck.cli.main import main\ncode = main(['gate', '--report', 'r.json', '-o', 'r.xml', "
        "'-o', 'r.sarif', '-o', 'r.md', '-o', 'out.json'])\n"
        "print(code, [m for m in ('torch', 'numpy', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


@pytest.mark.parametrize("output", ["symcheck.toml", "base.jsonl", "net.safetensors", "net.py", "x.npz", "given.json"])
def test_what_is_read_is_not_written_over(output: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = torch.randn(40, 5, 3, generator=torch.Generator().manual_seed(0))
    np.savez(project / "x.npz", x=x.numpy())
    head = 'baseline = "base.jsonl"\n' + HEAD.replace('{ x = "normal(5,3)" }', '"x.npz"')
    config(project, claim("limit = 1.0\nratchet = 0.1"), head=head)
    run(update=True, outputs=(project / "given.json",))
    link = project / "link.json"
    link.symlink_to(project / output)
    before = (project / output).read_bytes()
    given = ["--report", "given.json"] if output == "given.json" else []
    assert main(["gate", "-q", *given, "-o", "link.json"]) == 2
    assert output in capsys.readouterr().err
    assert (project / output).read_bytes() == before


def test_worst_pairs_are_not_written_over_weights(project: Path) -> None:
    (project / "net.safetensors").rename(project / "out.worst.safetensors")
    config(project, claim("limit = 1.0"), head=HEAD.replace("net.safetensors", "out.worst.safetensors"))
    with pytest.raises(SymcheckError, match="out"):
        run(outputs=(project / "out.json",))


def test_every_audit_keeps_worst_pairs_of_its_own(project: Path) -> None:
    mean, high = value(project)
    limit = mean + (high - mean) / 3
    config(project, claim(f"limit = {limit!r}"), claim("limit = 1.0\nelements = 8"), claim("limit = 1.0\nsamples = 8"))
    report = run(until_decided=True, budget=10**7, outputs=(project / "gate.json",))
    files = [f.worst.file.partition("#")[0] for r in report.reports for f in r.findings if f.worst is not None]
    assert len(files) == len(report.reports) == len(set(files)) >= 4
    assert all(Path(file).is_file() for file in files)
    replays = {o.gate: o.replay for o in report.outcomes}
    assert len(set(replays.values())) == 3 and all("--model" in line for line in replays.values())
