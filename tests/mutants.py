"""Mutants: every small change of a source file that `tests.mutation` may draw."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_PAIRS = (
    ("min", "max"), ("any", "all"), ("argmin", "argmax"), ("minimum", "maximum"),
    ("floor", "ceil"), ("zeros", "ones"), ("zeros_like", "ones_like"),
)  # fmt: skip
_NAMES = dict(_PAIRS) | {b: a for a, b in _PAIRS}
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes
    ----------
    line, column : int
    lines : (int, int)
        First and last line of the function around it; `(0, 0)` where there is none.
    change : str
        For people, and with `scope` and `repeat` what names the mutant: a change elsewhere in the
        file leaves the name as it is.
    scope : str
        Names of the classes and functions around it.
    repeat : int
        The how-manieth of the same change in the same scope.
    """

    line: int
    column: int
    lines: tuple[int, int]
    change: str
    scope: str
    repeat: int

    @property
    def name(self) -> str:
        """The name in its file."""
        return f"{self.scope} | {self.change} | {self.repeat}"

    def code(self, source: str) -> ast.Module:
        """The tree of the source with the change in it."""
        tree = ast.parse(source)
        for parent, field, node, new, mutant in _walk(tree):
            if mutant.name == self.name:
                value = getattr(parent, field)
                ast.copy_location(new, node)
                if isinstance(value, list):
                    new = [new if item is node else item for item in value]
                setattr(parent, field, new)
                return ast.fix_missing_locations(tree)
        raise LookupError(f"no place for {self}")


def mutants(source: str) -> list[Mutant]:
    """All mutants of a source text."""
    return [mutant for *_, mutant in _walk(ast.parse(source))]


def _walk(tree: ast.Module) -> Iterator[tuple[ast.AST, str, ast.AST, ast.AST, Mutant]]:
    """All changes: parent, field, node, what it becomes, and their name."""
    repeats: Counter[tuple[str, str]] = Counter()
    again = {id(node) for node in _renewing(tree)}
    for parent, field, node, around in _nodes(tree, ()):
        scope = ".".join(item.name for item in around)
        functions = [item for item in around if not isinstance(item, ast.ClassDef)]
        lines = _lines(functions[0]) if functions else (0, 0)
        for new in _changed(node, removable=id(node) in again):
            change = f"{_shown(node)} -> {_shown(new)}"
            repeat = repeats[scope, change]
            yield parent, field, node, new, Mutant(
                node.lineno, node.col_offset, lines, change, scope, repeat
            )  # fmt: skip
            repeats[scope, change] += 1


def _lines(function: ast.FunctionDef) -> tuple[int, int]:
    """First line, where Python says that a function starts: at its first decorator; and last."""
    first = min(item.lineno for item in (function, *function.decorator_list))
    return first, function.end_lineno or function.lineno


def _shown(node: ast.AST) -> str:
    """One line of a node, without the body that hangs below it."""
    if isinstance(node, ast.If | ast.While):
        return f"{type(node).__name__.lower()} {ast.unparse(node.test)}"
    return " ".join(ast.unparse(node).split())


def _nodes(
    parent: ast.AST, around: tuple[Any, ...]
) -> Iterator[tuple[ast.AST, str, Any, tuple[Any, ...]]]:
    """Every node but annotations, texts for people, and imports for the type checker."""
    for field, value in ast.iter_fields(parent):
        if field in ("annotation", "returns") or isinstance(parent, ast.JoinedStr):
            continue
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST):
                continue
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                continue
            if hasattr(node, "lineno"):
                yield parent, field, node, around
            inner = (*around, node) if isinstance(node, _SCOPES) else around
            yield from _nodes(node, inner)


def _renewing(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements whose removal leaves every name with a value: the others fail by themselves."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        known = {item.arg for item in ast.walk(function.args) if isinstance(item, ast.arg)}
        statements = [item for item in ast.walk(function) if isinstance(item, ast.stmt)]
        for node in sorted(statements, key=lambda item: item.lineno):
            if isinstance(node, ast.AugAssign | ast.Raise) or (
                isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
            ):
                yield node
            elif isinstance(node, ast.Assign):
                names = {
                    item.id
                    for item in ast.walk(node)
                    if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store)
                }
                if names <= known:
                    yield node
                known |= names


def _changed(node: Any, *, removable: bool) -> Iterator[ast.AST]:
    """What a node may become."""

    def with_(**fields: Any) -> ast.AST:
        new = deepcopy(node)
        for name, value in fields.items():
            setattr(new, name, value)
        return new

    match node:
        case ast.Compare(ops=[op]):
            yield from (with_(ops=[other()]) for other in _COMPARE[type(op)])
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _ARITHMETIC:
            yield with_(op=_ARITHMETIC[type(op)]())
        case ast.BoolOp(op=op):
            yield with_(op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Slice():
            bounds = [name for name in ("lower", "upper", "step") if getattr(node, name)]
            yield from (with_(**{name: None}) for name in bounds)
        case ast.Name(id=name) if name in _NAMES:
            yield with_(id=_NAMES[name])
        case ast.Attribute(attr=name) if name in _NAMES:
            yield with_(attr=_NAMES[name])
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            if not isinstance(test, ast.Compare | ast.UnaryOp):
                yield with_(test=ast.UnaryOp(ast.Not(), test))
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield with_(value=ast.Constant(None))
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
    if removable:
        yield ast.Pass()
