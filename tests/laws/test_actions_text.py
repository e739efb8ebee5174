"""Actions from text: a user's own functions, and what a wrong word or a wrong shape is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from symcheck.actions.base import Bound
from symcheck.actions.plain import make_action, make_actions
from symcheck.errors import ClaimError, DataError, LoadError, SymcheckError
from symcheck.grammar import Slot, parse_term
from symcheck.groups.draws import Draws
from symcheck.groups.products import make_group
from symcheck.importing import import_object

SOURCE = """
import torch
from beside import twice

print("hello")

def turn(g, x):
    return torch.einsum("nij,n...j->n...i", g.to(x.dtype), x)

def packed(g, x):
    return g[:, -1].reshape(-1, *[1] * (x.dim() - 1)) * turn(g[:, :9].reshape(-1, 3, 3), x)

def shrink(g, x):
    return x[..., :1]

number = twice(2)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("def twice(x):\n    return 2 * x\n")
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def test_a_users_function_acts(source: Path) -> None:
    group = make_group("SO(3)")
    g, x = group.sample(8, Draws(0, "g")), Draws(0, "x").normal(8, 4, 3)
    slot = Bound((make_action(parse_term(f"{source}:turn(rowwise)")),), group)
    assert torch.allclose(slot(g, x), Bound((make_action(parse_term("vector")),), group)(g, x))
    assert slot.actions[0].rowwise and not slot.isometric and not slot.trivial
    assert make_action(parse_term(slot.actions[0].name)).name == slot.actions[0].name


def test_a_users_function_gets_the_packed_element_of_a_product(source: Path) -> None:
    group = make_group("SO(3) x Scale(0.5,2)")
    g, x = group.sample(8, Draws(0, "g")), Draws(0, "x").normal(8, 4, 3)
    slot = Bound((make_action(parse_term(f"{source}:packed")),), group)
    assert len(slot.parts) == 1
    assert torch.allclose(slot(g, x), Bound((make_action(parse_term("vector")),), group)(g, x))


def test_a_function_that_changes_the_shape_is_refused(source: Path) -> None:
    group = make_group("SO(3)")
    slot = Bound((make_action(parse_term(f"{source}:shrink")),), group)
    with pytest.raises(DataError, match=r"\(2, 3\) into \(2, 1\)"):
        slot(group.identity(2), torch.ones(2, 3))


def test_files_run_once_and_leave_no_trace(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = list(sys.path)
    assert import_object(f"{source}:number") == 4
    assert import_object("mine.py:turn", base=source.parent) is import_object(f"{source}:turn")
    assert sys.path == before
    assert "mine" not in sys.modules
    assert capsys.readouterr().out == ""
    source.write_text("number = 5\n")
    assert import_object(f"{source}:number") == 5


def test_modules_of_a_folder_are_found(tmp_path: Path) -> None:
    (tmp_path / "only_for_this_test.py").write_text("class A:\n    b = 3\n")
    assert import_object("only_for_this_test:A.b", base=tmp_path) == 3
    assert import_object("math:pi") > 3


BAD_IMPORTS = [
    ("no_such_module_here:f", "no module is called 'no_such_module_here'", "install it"),
    ("torch.no_such_part:f", "no module is called 'torch.no_such_part'", "install it"),
    ("math:sinn", "'math' has no 'sinn'", "'sin'"),
    ("math", "does not name an object", "module:name"),
    ("no/such/file.py:f", "there is no file", "relative paths start at"),
    ("{folder}/broken.py:f", "fails to import: ZeroDivisionError: division by zero", "traceback"),
    ("{folder}/needs.py:f", "fails to import: ModuleNotFoundError", "traceback"),
    ("{folder}/leaves.py:f", "fails to import: SystemExit", "traceback"),
    ("{folder}/empty.py:f", "has no 'f'", "no public name"),
]


@pytest.mark.parametrize(("text", "message", "hint"), BAD_IMPORTS)
def test_each_step_of_an_import_has_its_error(tmp_path: Path, text: str, message: str, hint: str) -> None:
    sources = {"broken": "1 / 0", "needs": "import not_installed", "leaves": "exit(1)", "empty": ""}
    for name, code in sources.items():
        (tmp_path / f"{name}.py").write_text(code)
    text = text.format(folder=tmp_path)
    for _ in range(2):  # a file that failed once must not look imported the second time
        with pytest.raises(LoadError) as caught:
            import_object(text)
        assert message in caught.value.message
        assert hint in caught.value.hint
        assert text in caught.value.where


BAD_TERMS = [
    ("vectr", "unknown action 'vectr'", "'vector'"),
    ("vector(3)", "does not take 1 argument", "it takes ()"),
    ("tensor", "does not take 0 argument", "formula"),
    ("tensor(ij=ik)", "not an index formula", "permute"),
    ("tensor(ii)", "not an index formula", "once"),
    ("tensor(ij,odd)", "'odd'", "pseudo"),
    ("rotation(quaternoin)", "'quaternoin'", "'quaternion'"),
    ("rotation(6d,quaternion)", "one form", "rotation(6d)"),
    ("irreps(3y)", "'3y' is not an irrep", "16x0e"),
    ("irreps(1o+)", "'' is not an irrep", "16x0e"),
    ("irreps(2x12e)", "above 11", "leave"),
    ("irreps(0x1o)", "no component", "8x1o"),
    ("multivector(3,0,2)", "no action", "r at most 1"),
    ("multivector(0)", "no action", "between 1 and 6"),
    ("multivector(three)", "'three' is not a number", "3"),
    ("homogeneous(big)", "'big' is not a number", "0.5"),
    ("math:pi", "float, which cannot act", "function of (g, x)"),
    ("math:sin(fast)", "does not take 'fast'", "without it"),
]


@pytest.mark.parametrize(("text", "message", "hint"), BAD_TERMS)
def test_a_wrong_word_is_explained(text: str, message: str, hint: str) -> None:
    with pytest.raises(ClaimError) as caught:
        make_action(parse_term(text))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.where


BAD_SHAPES = [
    ("SO(3)", "vector", (4, 2), "moves 3 components, but there are 2"),
    ("SO(2)", "vector", (4,), "moves 2 components, but there are 4"),
    ("SO(3)", "points", (), "1 trailing axes of size 3"),
    ("SO(3)", "tensor(ij)", (3,), "2 trailing axes of size 3"),
    ("SO(3)", "tensor(ij)", (3, 4), "shape (3, 4)"),
    ("SO(3)", "rotation", (4,), "trailing axes (3, 3)"),
    ("SO(4)", "rotation", (3, 3), "moves 4 components, but there are 3"),
    ("SO(3)", "irreps(2x1o)", (5,), "trailing axes (6,)"),
    ("SO(3)", "multivector(2)", (4,), "moves 3 components, but there are 2"),
    ("SE(3)", "multivector(3)", (8,), "translates"),
]


@pytest.mark.parametrize(("group", "action", "shape", "message"), BAD_SHAPES)
def test_a_wrong_shape_is_explained(group: str, action: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(SymcheckError) as caught:
        make_action(parse_term(action)).check(make_group(group), shape, "input 'pos'")
    assert message in caught.value.message
    assert caught.value.where == "input 'pos'"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("group", "action"), [("GL+(3)", "irreps(1o)"), ("GL+(3)", "rotation"), ("SO(1,3)", "multivector(4)")]
)
def test_a_group_that_stretches_is_refused(group: str, action: str) -> None:
    made = make_group(group)
    with pytest.raises(ClaimError, match=r"stretches|does not preserve"):
        make_action(parse_term(action)).represent(made, made.sample(3, Draws(0, "g")))


def test_markers_stand_alone() -> None:
    assert [str(a) for a in make_actions(Slot(None, (parse_term("ignore"),)))] == ["ignore"]
    assert make_actions(Slot("batch", (parse_term("owner"),)))[0].trivial
    with pytest.raises(ClaimError, match="combines a marker"):
        make_actions(Slot("y", (parse_term("vector"), parse_term("ignore"))))
