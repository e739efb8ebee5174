"""Several devices: the same findings from any number of them, and the first error ends all."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from engine_cases import CLAIMS, Net, assert_same, audited, images
from torch import Tensor

from symcheck.engines.shards import join
from symcheck.errors import ClaimError, ConfigError, ModelError
from symcheck.report.write import parts_file
from symcheck.subject import Subject

TWO = ["cpu", "cpu"]


@pytest.mark.parametrize("devices", [["cpu"], TWO, ["cpu"] * 5])
def test_devices_measure_what_one_does(devices: list[str]) -> None:
    net, told = Net().train(), []
    report = audited(net, devices=devices, progress=lambda done, total: told.append((done, total)))
    assert_same(report, audited())
    assert report.settings["devices"] == devices
    assert net.training and all(part.training for part in net.modules())
    assert told == [(i + 1, len(told)) for i in range(len(told))] and len(told) >= 2 * len(devices)


def test_each_device_has_a_copy_of_its_own() -> None:
    seen: set[int] = set()
    together = threading.Barrier(2, timeout=60)

    class Watching(Net):
        def forward(self, x: Tensor) -> Tensor:
            if id(self) not in seen:
                seen.add(id(self))
                together.wait()  # passes when a second copy comes
            return super().forward(x)

    audited(Watching(), devices=TWO, dtype="float64")
    assert len(seen) >= 2


@pytest.mark.parametrize("fails_at", [1, 4])
def test_an_error_on_one_device_ends_all(fails_at: int) -> None:
    before = threading.active_count()
    with pytest.raises(ModelError, match="planted"):
        audited(Net(fails_at=fails_at), devices=TWO, batch_size=4)
    assert threading.active_count() == before


def test_an_interrupt_ends_all() -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        audited(devices=TWO, progress=interrupt)
    assert threading.active_count() == before


def test_a_claim_that_does_not_fit_is_an_error_when_stated_and_a_note_when_proposed() -> None:
    with pytest.raises(ClaimError):
        audited(devices=TWO, claims=[*CLAIMS, "S: image -> nodes"])
    assert_same(audited(devices=TWO, claims=None, elements=4), audited(claims=None, elements=4))


def test_an_unknown_device_is_one_error() -> None:
    for devices in (["cpu", "gpu:7"], ["warp"]):
        with pytest.raises(ConfigError, match="cannot be used"):
            audited(devices=devices)


def test_what_cannot_be_copied_is_refused() -> None:
    net = Net()
    subject = Subject("program", lambda x: net(x), module=net)
    with pytest.raises(ConfigError, match="cannot be copied"):
        audited(subject, devices=TWO)


def test_devices_resume_and_shards_go_together(tmp_path: Path) -> None:
    made = []
    for i in (1, 2):
        path = tmp_path / f"{i}.json"
        options = {"shard": (i, 2), "parts": parts_file(path), "devices": TWO, "resume": tmp_path / f"{i}.parts"}
        audited(**options)
        made.append((path, audited(**options)))
    assert_same(join(made), audited())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_the_accelerator_and_the_processor_together() -> None:
    net = Net()
    report = audited(net, devices=["cuda:0", "cpu", "cuda:0"])
    assert [f.counts for f in report.findings] == [f.counts for f in audited(net).findings]
    means = [f.error and f.error.spread.mean for f in audited(net, inputs=images()).findings]
    assert [f.error and f.error.spread.mean for f in report.findings] == pytest.approx(means, rel=1e-9)
