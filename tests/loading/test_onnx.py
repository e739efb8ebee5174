"""ONNX graphs as subjects: names, precision, batch, files beside, and what is refused."""

from __future__ import annotations

import copy
import hashlib
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnx_files as make
import onnxruntime
from onnx import TensorProto, helper

import symcheck
from symcheck.cli.main import main
from symcheck.errors import LoadError, ModelError
from symcheck.loading import Kind, load_subject, sniff
from symcheck.loading.onnx import OnnxModule, onnx_weights
from symcheck.measure.calling import by_keyword
from symcheck.measure.worst import weights_digest
from symcheck.report.model import Verdict


def draws(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def error(path: Path) -> LoadError:
    with pytest.raises(LoadError) as caught:
        load_subject(path)
    assert caught.value.where and caught.value.hint
    return caught.value


def test_a_graph_is_a_subject_without_the_users_word(tmp_path: Path) -> None:
    path = make.linear(tmp_path / "net.bin")
    assert sniff(path) is Kind.ONNX
    subject = load_subject(path)
    x = draws(5, 3)
    out = subject.call(x)
    assert list(out) == ["logits_1"] and np.allclose(out["logits_1"], make.expected(x), atol=1e-6)
    assert torch.equal(subject.call(input_1=x)["logits_1"], out["logits_1"])
    assert (subject.castable, subject.fixed_batch, subject.dtype) == (False, None, torch.float32)
    assert subject.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert subject.source.format == "onnx"
    assert subject.notes == (
        "names of the graph are written as identifiers: input.1 is input_1, logits.1 is logits_1",
    )


@pytest.mark.parametrize(
    ("kind", "dtype", "bound"),
    [(TensorProto.FLOAT16, torch.float16, 1e-2), (TensorProto.FLOAT, torch.float32, 1e-6),
     (TensorProto.DOUBLE, torch.float64, 1e-14)],
)  # fmt: skip
def test_the_precision_is_that_of_the_graph(kind: int, dtype: torch.dtype, bound: float, tmp_path: Path) -> None:
    subject = load_subject(make.linear(tmp_path / "net.onnx", kind=kind))
    assert subject.dtype == dtype
    weights = [w.astype(helper.tensor_dtype_to_np_dtype(kind)).astype(np.float64) for w in (make.WEIGHT, make.BIAS)]
    x = draws(5, 3).double()
    y = subject.call(x)["logits_1"]
    exact = np.tanh(x.to(dtype).double().numpy() @ weights[0] + weights[1])
    assert y.dtype == dtype and np.abs(y.double().numpy() - exact).max() < bound


def gather(path: Path, kind: int) -> Path:
    """Rows of a table: z (integers) and a factor, to `energy`, and the negative of a flag."""
    nodes = [
        helper.make_node("Gather", ["table", "z"], ["rows"]),
        helper.make_node("Mul", ["rows", "scale"], ["energy"]),
        helper.make_node("Not", ["on/off:0"], ["off"]),
    ]
    inputs = [
        make.tensor("z", kind, ("batch",)), make.tensor("scale", shape=("batch",)),
        make.tensor("on/off:0", TensorProto.BOOL, ("batch",)),
    ]  # fmt: skip
    outputs = [make.tensor("energy", shape=("batch",)), make.tensor("off", TensorProto.BOOL, ("batch",))]
    table = np.arange(10, dtype=np.float32) ** 2
    return make.saved(path, nodes, inputs, outputs, weights={"table": table})


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.INT64])
def test_integers_and_flags_arrive_by_name_in_any_order(kind: int, tmp_path: Path) -> None:
    subject = load_subject(gather(tmp_path / "net.onnx", kind))
    z, scale, flag = torch.tensor([3, 1, 4]), torch.tensor([1.0, 2.0, -1.0]), torch.tensor([True, False, True])
    out = subject.call(scale=scale, on_off_0=flag, z=z)
    assert out["energy"].tolist() == [9.0, 2.0, -16.0] and out["off"].tolist() == [False, True, False]
    assert subject.call(z, scale, flag)["energy"].tolist() == [9.0, 2.0, -16.0]
    assert by_keyword(subject, ["scale", "z", "on_off_0"]) and not by_keyword(subject, ["a", "b", "c"])


def test_a_number_that_does_not_fit_is_not_cut(tmp_path: Path) -> None:
    subject = load_subject(gather(tmp_path / "net.onnx", TensorProto.INT32))
    scale, flag = torch.ones(1), torch.ones(1, dtype=torch.bool)
    for z in (torch.tensor([2**32 + 3]), torch.tensor([3.0])):  # cast, both would be 3
        with pytest.raises(Exception, match="Unexpected input data type"):
            subject.call(z, scale, flag)
    assert subject.call(torch.tensor([3]), scale, flag)["energy"].tolist() == [9.0]


def test_wrong_inputs_are_named(tmp_path: Path) -> None:
    subject = load_subject(gather(tmp_path / "net.onnx", TensorProto.INT64))
    with pytest.raises(ModelError, match=r"takes 3 inputs \(z, scale, on_off_0\)"):
        subject.call(torch.tensor([3]))


def pooled(path: Path, *, batch: int | str = "batch", broken: bool = False) -> Path:
    """The mean of tanh(3x + 1) over an image, and with a ramp across it where broken."""
    ramp = np.linspace(0, 1, 8, dtype=np.float32) if broken else np.ones(8, np.float32)
    nodes = [
        helper.make_node("Mul", ["image", "three"], ["a"]),
        helper.make_node("Add", ["a", "one"], ["b"]),
        helper.make_node("Tanh", ["b"], ["c"]),
        helper.make_node("Mul", ["c", "ramp"], ["d"]),
        helper.make_node("ReduceMean", ["d"], ["logits"], axes=[2, 3], keepdims=0),
    ]
    weights = {"three": np.float32([3.1]), "one": np.float32([0.7]), "ramp": ramp}
    inputs, outputs = [make.tensor("image", shape=(batch, 2, 8, 8))], [make.tensor("logits", shape=(batch, 2))]
    return make.saved(path, nodes, inputs, outputs, weights=weights)


@pytest.mark.parametrize("batch", [4, "batch"])
def test_an_audit_tells_the_broken_graph_from_the_healthy_one(batch: int | str, tmp_path: Path) -> None:
    verdicts = []
    for broken in (False, True):
        subject = load_subject(pooled(tmp_path / "net.onnx", batch=batch, broken=broken))
        assert subject.fixed_batch == (4 if batch == 4 else None)
        x = {"image": draws(10, 2, 8, 8).double()}  # more precision than the graph has
        found = symcheck.audit(subject, "C4: image=image -> logits=invariant", x, samples=10, elements=4).findings
        verdicts.append({finding.verdict for finding in found})
    assert verdicts == [{Verdict.EXACT}, {Verdict.BROKEN}]


def test_gradients_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no gradients"):
        load_subject(make.linear(tmp_path / "net.onnx")).call(draws(2, 3).requires_grad_(True))


def test_names_that_become_the_same_stay_apart(tmp_path: Path) -> None:
    names = ["x.1", "x:1", "1x", "lambda"]
    nodes = [helper.make_node("Sum", names, ["y"])]
    path = make.saved(tmp_path / "net.onnx", nodes, [make.tensor(name) for name in names], [make.tensor("y")])
    one = torch.ones(2, 3)
    out = load_subject(path).call(x_1=one, x_1_2=draws(2, 3), _1x=one, _lambda=one)
    assert torch.allclose(out["y"], draws(2, 3) + 3)


def test_a_copy_and_another_process_run_the_same(tmp_path: Path) -> None:
    module = load_subject(make.linear(tmp_path / "net.onnx")).module
    x = draws(2, 3)
    assert module is not None
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(x)["logits_1"], module(x)["logits_1"])


def test_weights_beside_the_graph_are_found_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    path = make.external(tmp_path / "a" / "net.onnx")
    monkeypatch.chdir(tmp_path)
    subject = load_subject("a/net.onnx")
    assert np.allclose(subject.call(draws(5, 3))["logits_1"], make.expected(draws(5, 3)), atol=1e-6)
    assert f"sha256 {hashlib.sha256((path.parent / 'weights.data').read_bytes()).hexdigest()}" in subject.notes[0]
    found = onnx_weights(path)
    assert set(found) == {"net.weight", "net.bias"} and np.array_equal(found["net.weight"], make.WEIGHT)
    (path.parent / "weights.data").unlink()
    assert "'weights.data', which is no file in its folder" in error(path).message


def test_graphs_of_other_weights_are_told_apart(tmp_path: Path) -> None:
    path = make.external(tmp_path / "net.onnx")
    before = weights_digest(load_subject(path))
    assert weights_digest(load_subject(path)) == before
    data = bytearray((tmp_path / "weights.data").read_bytes())
    data[3] ^= 1
    (tmp_path / "weights.data").write_bytes(data)
    assert weights_digest(load_subject(path)) != before
    assert weights_digest(load_subject(pooled(tmp_path / "other.onnx"))) != before


@pytest.mark.parametrize("inside", [True, False])
def test_weights_elsewhere_are_not_read(inside: bool, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = make.external(tmp_path / "a" / "net.onnx")
    model = onnx.load(str(path), load_external_data=False)
    for stored in model.graph.initializer:
        for entry in stored.external_data:
            entry.value = "../secret.data" if entry.key == "location" else entry.value
    (path.parent / "weights.data").rename(tmp_path / "secret.data")
    if inside:  # a link in the folder that leads out of it
        (path.parent / "link.data").symlink_to(tmp_path / "secret.data")
        for stored in model.graph.initializer:
            for entry in stored.external_data:
                entry.value = "link.data" if entry.key == "location" else entry.value
    path.write_bytes(model.SerializeToString())
    assert "which is no file in its folder" in error(path).message
    with pytest.raises(LoadError, match="which is no file in its folder"):
        onnx_weights(path)


def conditional(path: Path, inner: str, domain: str) -> Path:
    """A graph with an operator inside a branch."""
    branch = helper.make_graph([helper.make_node(inner, ["x"], ["z"], domain=domain)], "yes", [], [make.tensor("z")])
    other = helper.make_graph([helper.make_node("Tanh", ["x"], ["w"])], "no", [], [make.tensor("w")])
    nodes = [helper.make_node("If", ["which"], ["y"], then_branch=branch, else_branch=other)]
    more = {"weights": {"which": np.array(True)}, "domains": [domain] if domain else []}
    return make.saved(path, nodes, [make.tensor("x")], [make.tensor("y")], **more)


def test_operators_of_their_own_are_refused_wherever_they_stand(tmp_path: Path) -> None:
    for inner, domain in (("Evil", "my.ops"), ("EPContext", "com.microsoft")):
        refused = error(conditional(tmp_path / "net.onnx", inner, domain))
        assert f"code of their own: {domain}.{inner}" in refused.message
    subject = load_subject(conditional(tmp_path / "net.onnx", "Abs", ""))
    assert torch.equal(subject.call(draws(2, 3))["y"], draws(2, 3).abs())


def test_an_unknown_operator_and_an_unknown_version_are_the_runtimes_to_refuse(tmp_path: Path) -> None:
    path = make.saved(
        tmp_path / "net.onnx", [helper.make_node("Tahn", ["x"], ["y"])], [make.tensor("x")], [make.tensor("y")]
    )
    assert "onnxruntime cannot load the graph" in error(path).message and "Tahn" in error(path).message


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_graph_is_an_error(keep: float, tmp_path: Path) -> None:
    path = make.linear(tmp_path / "net.onnx")
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    assert "truncated or damaged" in error(path).message or "cannot load" in error(path).message
    assert main(["audit", str(path), "C2: sequence -> invariant", "-i", "normal(3)", "-q"]) == 2


def test_an_accelerator_that_the_runtime_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make.linear(tmp_path / "net.onnx")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    subject = load_subject(path)
    assert any("the graph runs on the CPU" in note for note in subject.notes)
    assert isinstance(subject.call, OnnxModule)
    program = subject.call.forward
    given = {"input.1": np.ones((2, 3), np.float32)}
    assert np.allclose(program.session("cuda").run(None, given)[0], make.expected(given["input.1"]), atol=1e-6)


def test_options_that_cannot_apply_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="an ONNX graph and brings its own network; --model and --key"):
        load_subject(make.linear(tmp_path / "net.onnx"), model="a:b", key="c")


def test_a_missing_package_says_how_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make.linear(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert error(path).hint == "install it with: pip install 'symcheck[onnx]'"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_torch_exports_gives_what_torch_computes(tmp_path: Path) -> None:
    layers = (nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.SiLU(), nn.Flatten(), nn.Linear(256, 5))
    network = nn.Sequential(*layers).eval()
    x = draws(6, 3, 8, 8)
    path = tmp_path / "net.onnx"
    axes = {"image": {0: "batch"}, "logits": {0: "batch"}}
    torch.onnx.export(
        network, (x[:2],), str(path), dynamo=False, input_names=["image"], output_names=["logits"], dynamic_axes=axes
    )
    assert torch.allclose(load_subject(path).call(image=x)["logits"], network(x), atol=1e-5)
    weights = onnx_weights(path)
    assert torch.equal(weights["4.weight"], network[4].weight.detach())
