"""The house rules, held on the syntax tree; each rule is shown a fault that it must find."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "symcheck"
MAX_FILE, MAX_FUNCTION = 300, 50
UNFINISHED = ("TODO", "FIXME", "XXX", "HACK")
LOADERS = ("torch.load", "torch.export.load", "torch.jit.load", "pickle.load", "pickle.loads")
GLOBAL_STATE = ("torch.manual_seed", "torch.seed", "np.random.seed", "numpy.random.seed", "random.seed")
SHOWN = ("report/text.py", "report/gate_text.py", "report/page.py")  # what is laid out for the terminal
NO_HINT = ("MissingExtra",)  # makes its own

Function = ast.FunctionDef | ast.AsyncFunctionDef
Faults = Iterator[tuple[int, str]]


@dataclass(frozen=True)
class Module:
    """One file: its path within the package, its text, its tree."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def functions(self) -> list[Function]:
        return [node for node in self.nodes if isinstance(node, Function)]

    @cached_property
    def classes(self) -> list[ast.ClassDef]:
        return [node for node in self.nodes if isinstance(node, ast.ClassDef)]

    @cached_property
    def calls(self) -> list[tuple[int, str]]:
        return [(node.lineno, dotted(node.func)) for node in self.nodes if isinstance(node, ast.Call)]


def dotted(node: ast.AST | None) -> str:
    """`a.b.c` of a name or attribute, without subscripts; empty for anything else."""
    if isinstance(node, ast.Subscript):
        return dotted(node.value)
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def short_files(module: Module) -> Faults:
    if (lines := len(module.text.splitlines())) > MAX_FILE:
        yield lines, f"{lines} lines"


def short_functions(module: Module) -> Faults:
    """Decorators and the docstring count as well as the code; a command's options are its declaration and do not."""
    for function in module.functions:
        start = function.body[0].lineno if module.path.startswith("cli/") else function.lineno
        if (lines := (function.end_lineno or 0) - start + 1) > MAX_FUNCTION:
            yield function.lineno, f"{function.name} has {lines} lines"


def silent(module: Module) -> Faults:
    if module.path.startswith("cli/"):
        return
    yield from ((line, "print") for line, name in module.calls if name == "print")
    for node in module.nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if module.path not in SHOWN and any(name.split(".")[0] == "rich" for name in names):
            yield node.lineno, "rich"  # type: ignore[attr-defined]


def no_assert(module: Module) -> Faults:
    yield from ((node.lineno, "assert") for node in module.nodes if isinstance(node, ast.Assert))


def no_bare_except(module: Module) -> Faults:
    handlers = (node for node in module.nodes if isinstance(node, ast.ExceptHandler))
    yield from ((node.lineno, "bare except") for node in handlers if node.type is None)


def no_hasattr(module: Module) -> Faults:
    yield from ((line, name) for line, name in module.calls if name == "hasattr")


def no_mutable_default(module: Module) -> Faults:
    makers = ("list", "dict", "set", "defaultdict", "collections.defaultdict")
    for function in (node for node in module.nodes if isinstance(node, Function | ast.Lambda)):
        for default in (*function.args.defaults, *function.args.kw_defaults):
            made = isinstance(default, ast.Call) and dotted(default.func) in makers
            literal = isinstance(default, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)
            if made or literal:
                yield function.lineno, "mutable default"


def no_global_state(module: Module) -> Faults:
    for line, name in module.calls:
        if name in GLOBAL_STATE or name.startswith("torch.set_"):
            yield line, name


def loads_only_in_loading(module: Module) -> Faults:
    if not module.path.startswith("loading/"):
        yield from ((line, name) for line, name in module.calls if name in LOADERS)


def documented(module: Module) -> Faults:
    """Modules, public classes, and their public functions; what only repeats an abstract method's meaning too."""
    if not ast.get_docstring(module.tree):
        yield 1, "module without docstring"
    for node in public(module.tree):
        if not ast.get_docstring(node):
            yield node.lineno, f"{node.name} without docstring"


def public(tree: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def finished(module: Module) -> Faults:
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield from ((token.start[0], word) for word in UNFINISHED if word in token.string)


def home(module: Module) -> str:
    return "symcheck." + module.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def names_in(module: Module) -> dict[str, str]:
    """What a module's own classes and imported names are called in full; two modules may use one name."""
    imports = [node for node in module.nodes if isinstance(node, ast.ImportFrom)]
    found = {a.asname or a.name: f"{node.module}.{a.name}" for node in imports for a in node.names}
    return found | {c.name: f"{home(module)}.{c.name}" for c in module.classes}


def in_full(node: ast.AST, names: Mapping[str, str]) -> str:
    first, dot, rest = dotted(node).partition(".")
    return names.get(first, first) + dot + rest


def family(modules: list[Module]) -> dict[str, tuple[ast.ClassDef, list[str]]]:
    """Every class of ours by its full name, with the full names of its bases."""
    found = {}
    for module in modules:
        names = names_in(module)
        for node in module.classes:
            found[names[node.name]] = node, [in_full(base, names) for base in node.bases]
    return found


def error_kinds(modules: list[Module]) -> set[str]:
    """SymcheckError and the classes that descend from it."""
    classes = family(modules)
    kinds = {"symcheck.errors.SymcheckError"}
    while grown := {name for name, (_, bases) in classes.items() if set(bases) & kinds} - kinds:
        kinds |= grown
    return kinds


def hints(modules: list[Module]) -> Iterator[str]:
    """Errors of ours that are made without a hint."""
    kinds = {kind for kind in error_kinds(modules) if not kind.endswith(NO_HINT)}
    for module in modules:
        names = names_in(module)
        for node in (node for node in module.nodes if isinstance(node, ast.Call)):
            given = {keyword.arg for keyword in node.keywords}
            if in_full(node.func, names) in kinds and not given & {"hint", None}:
                yield f"{module.path}:{node.lineno} {dotted(node.func)} without a hint"


def abstract_or_final(modules: list[Module]) -> Iterator[str]:
    """Classes of ours that are subclassed though nothing in them is abstract; errors may be."""
    classes, errors = family(modules), error_kinds(modules)
    for name, (node, bases) in classes.items():
        for base in bases:
            if base in classes and base not in errors and not is_abstract(base, classes):
                yield f"{name}:{node.lineno} extends the concrete class {base}"


Family = Mapping[str, tuple[ast.ClassDef, list[str]]]


def is_abstract(name: str, classes: Family) -> bool:
    """ABC or Protocol by itself, or with abstract methods, own or inherited, that it does not define."""
    plain = {base.split(".")[-1] for base in classes[name][1]}
    return bool({"ABC", "Protocol"} & plain or open_methods(name, classes))


def open_methods(name: str, classes: Family) -> set[str]:
    node, bases = classes[name]
    methods = [f for f in node.body if isinstance(f, Function)]
    own = {f.name for f in methods if any(dotted(d).endswith("abstractmethod") for d in f.decorator_list)}
    inherited = {method for base in bases if base in classes for method in open_methods(base, classes)}
    return (inherited - {f.name for f in methods}) | own


RULES: dict[Callable[[Module], Faults], tuple[str, ...]] = {
    short_files: ("x = 1\n" * 301,),
    short_functions: ("def f():\n" + "    x = 1\n" * 50,),
    silent: ("print(1)", "import rich", "def f():\n    from rich.console import Console"),
    no_assert: ("def f(x):\n    assert x",),
    no_bare_except: ("try:\n    x = 1\nexcept:\n    x = 2",),
    no_hasattr: ("hasattr(x, 'y')",),
    no_mutable_default: ("def f(a=[]): ...", "def f(*, a={}): ...", "f = lambda a=set(): a", "def f(a=dict()): ..."),
    no_global_state: ("torch.set_default_dtype(x)", "torch.manual_seed(0)", "np.random.seed(0)"),
    loads_only_in_loading: ("torch.load(x)", "torch.export.load(x)", "torch.jit.load(x)"),
    documented: ("x = 1", '"""D."""\ndef f(): ...', '"""D."""\nclass A:\n    """D."""\n    def f(self): ...'),
    finished: ("# TO" + "DO later", '"""FIX' + 'ME"""'),
}
CLEAN = '"""Module."""\n\n\ndef f(x=()):\n    """One."""\n    return x, generator.manual_seed(0), json.load(x)\n'


def package(root: Path) -> list[Module]:
    return [Module(p.relative_to(root).as_posix(), p.read_text(encoding="utf-8")) for p in sorted(root.rglob("*.py"))]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule: Callable[[Module], Faults]) -> None:
    assert [f"{module.path}:{line} {what}" for module in package(ROOT) for line, what in rule(module)] == []


@pytest.mark.parametrize(("rule", "code"), [(rule, code) for rule, codes in RULES.items() for code in codes])
def test_a_planted_fault_is_found(rule: Callable[[Module], Faults], code: str) -> None:
    assert list(rule(Module("measure/x.py", code)))
    assert not list(rule(Module("measure/x.py", CLEAN)))


def test_every_error_has_a_hint() -> None:
    assert list(hints(package(ROOT))) == []


def test_classes_are_abstract_or_final() -> None:
    assert list(abstract_or_final(package(ROOT))) == []


ERRORS = "class SymcheckError(Exception): ...\nclass OddError(SymcheckError): ...\n"
ABSTRACT = "class A(ABC):\n    @abstractmethod\n    def f(self): ...\n"
IMPORT = "from symcheck.errors import OddError\n"


@pytest.mark.parametrize(
    ("code", "count"),
    [
        (IMPORT + "raise OddError('x')", 1),
        ("from symcheck import errors\nraise errors.OddError('x', where='y')", 1),
        ("from symcheck.errors import OddError as E\ne = E('x')", 1),
        (IMPORT + "raise OddError('x', hint='y')", 0),
        (IMPORT + "raise OddError(**arguments)", 0),
        ("raise ValueError('x')", 0),
    ],
)
def test_a_missing_hint_is_found(code: str, count: int) -> None:
    assert len(list(hints([Module("errors.py", ERRORS), Module("a.py", code)]))) == count


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("class A: ...\nclass B(A): ...", 1),
        (ABSTRACT + "class B(A):\n    def f(self): ...\nclass C(B): ...", 1),
        (ABSTRACT + "class B(A):\n    x = 1\nclass C(B): ...", 0),
        ("class A(Protocol[T]): ...\nclass B(A): ...", 0),
        (IMPORT + "class B(OddError): ...", 0),
        ("from symcheck import errors\nclass OddError(errors.OddError): ...", 0),
        ("class A(dict): ...", 0),
    ],
)
def test_an_extended_concrete_class_is_found(code: str, count: int) -> None:
    assert len(list(abstract_or_final([Module("errors.py", ERRORS), Module("a.py", code)]))) == count
