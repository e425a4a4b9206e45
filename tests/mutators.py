"""Small wrong changes of Python source, one at a time: what `mutate.py` asks the tests to notice."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

OTHER_OPERATOR = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div],
    ast.Div: [ast.Mult],
    ast.FloorDiv: [ast.Mult],
    ast.Mod: [ast.Mult],
    ast.Pow: [ast.Mult],
    ast.BitAnd: [ast.BitOr],
    ast.BitOr: [ast.BitAnd],
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}

OTHER_NAME = {
    "min": "max",
    "max": "min",
    "sum": "mean",
    "mean": "sum",
    "argmax": "argmin",
    "any": "all",
    "all": "any",
    "zeros": "ones",
    "ones": "zeros",
    "clamp_min": "clamp_max",
    "clamp_max": "clamp_min",
    "append": "extend",
}

MODULES = {"torch", "np", "F", "math", "em", "copy", "time", "warnings"}
"""Names in front of a dot that are modules, not values."""


@dataclass(frozen=True)
class Mutant:
    """One changed source; ``name`` says where and what, without line numbers."""

    name: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of ``source``, each different from it and from the others."""
    tree = ast.parse(source)
    seen, names = {ast.unparse(tree)}, Counter[str]()
    for scope, parent, field, index, node in list(places(tree, "")):
        for other in alternatives(node, in_function=bool(scope)):
            changed = unparse_with(tree, parent, field, index, node, other)
            if changed in seen:
                continue
            seen.add(changed)
            name = f"{scope or 'module'}: {text(node)} -> {text(other)}"
            names[name] += 1
            yield Mutant(name if names[name] == 1 else f"{name} ({names[name]})", changed)


def text(node: ast.AST) -> str:
    """One short line of source."""
    lines = ast.unparse(node).split("\n")
    return lines[0] if len(lines) == 1 else f"{lines[0]} ..."


def unparse_with(tree: ast.AST, parent: ast.AST, field: str, index: int | None, node: ast.AST, other: ast.AST) -> str:
    """Source of ``tree`` with ``other`` in the place of ``node``."""
    put(parent, field, index, other)
    try:
        return ast.unparse(tree)
    finally:
        put(parent, field, index, node)


def put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    """Set a field of ``parent``, or one item of it."""
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def places(parent: ast.AST, scope: str) -> Iterator[tuple[str, ast.AST, str, int | None, ast.AST]]:
    """(qualified name, parent, field, index, node) of all nodes that may change, top down."""
    for field, value in ast.iter_fields(parent):
        items = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, node in items:
            if not isinstance(node, ast.AST) or left_alone(parent, field, node):
                continue
            yield scope, parent, field, index, node
            named = isinstance(node, ast.FunctionDef | ast.ClassDef)
            yield from places(node, f"{scope}.{node.name}".strip(".") if named else scope)


def left_alone(parent: ast.AST, field: str, node: ast.AST) -> bool:
    """Docstrings, annotations, imports, messages and names: nothing that a result depends on."""
    if field in ("annotation", "returns", "decorator_list", "bases", "format_spec", "exc", "msg"):
        return True
    if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.If) and text(node.test) == "TYPE_CHECKING":
        return True
    return isinstance(node, ast.Assign) and text(node.targets[0]) == "__all__"


def alternatives(node: ast.AST, in_function: bool) -> Iterator[ast.AST]:
    """What could stand in the place of ``node``."""
    if isinstance(node, ast.stmt):
        if in_function:
            yield from other_statements(node)
    elif isinstance(node, ast.Constant):
        yield from other_constants(node.value)
    elif isinstance(node, ast.Call):
        yield from other_calls(node)
    else:
        yield from other_expressions(node)


def other_statements(node: ast.stmt) -> Iterator[ast.AST]:
    """A line removed, a return without its value, a condition that is always or never true."""
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return
    if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Raise | ast.Delete):
        yield ast.Pass()
    if isinstance(node, ast.Return) and node.value is not None and text(node.value) != "None":
        yield ast.Return(None)
    if isinstance(node, ast.Continue):
        yield ast.Break()
    if isinstance(node, ast.AugAssign):
        for kind in OTHER_OPERATOR.get(type(node.op), ()):
            yield ast.AugAssign(node.target, kind(), node.value)
    if isinstance(node, ast.If | ast.While):
        for value in (True, False) if isinstance(node, ast.If) else (False,):
            changed = copy.copy(node)
            changed.test = ast.Constant(value)
            yield changed


def other_constants(value: object) -> Iterator[ast.AST]:
    """Numbers beside it, the other truth value, another string."""
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        yield ast.UnaryOp(ast.USub(), ast.Constant(1 - value)) if value < 1 else ast.Constant(value - 1)
    elif isinstance(value, float):
        yield ast.Constant(value * 2 if value else 1.0)
        yield ast.Constant(value / 2 if value else 0.5)
    elif isinstance(value, str):
        yield ast.Constant(value + "X")


def other_calls(node: ast.Call) -> Iterator[ast.AST]:
    """Arguments swapped or left out, the call dropped (clamps, dims and conversions among them), its opposite."""
    commutes = isinstance(node.func, ast.Name) and node.func.id in ("min", "max")
    for i in range(0 if commutes else len(node.args) - 1):
        args = list(node.args)
        args[i], args[i + 1] = args[i + 1], args[i]
        yield ast.Call(node.func, args, node.keywords)
    for i in range(len(node.keywords)):
        yield ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])
    method = isinstance(node.func, ast.Attribute) and text(node.func.value) not in MODULES
    if method:
        yield node.func.value
    elif node.args and not isinstance(node.args[0], ast.Starred):
        yield node.args[0]
    yield from other_name(node)


def other_name(node: ast.Call) -> Iterator[ast.AST]:
    """min for max, sum for mean, and so on."""
    func = node.func
    if isinstance(func, ast.Attribute) and func.attr in OTHER_NAME:
        yield ast.Call(ast.Attribute(func.value, OTHER_NAME[func.attr]), node.args, node.keywords)
    if isinstance(func, ast.Name) and func.id in OTHER_NAME:
        yield ast.Call(ast.Name(OTHER_NAME[func.id]), node.args, node.keywords)


def other_expressions(node: ast.AST) -> Iterator[ast.AST]:
    """Operators, signs, conditions, transposes."""
    if isinstance(node, ast.BinOp):
        for kind in OTHER_OPERATOR.get(type(node.op), ()):
            yield ast.BinOp(node.left, kind(), node.right)
    elif isinstance(node, ast.Compare):
        for kind in OTHER_OPERATOR.get(type(node.ops[0]), ()):
            yield ast.Compare(node.left, [kind(), *node.ops[1:]], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for i in range(len(node.values)):
            rest = node.values[:i] + node.values[i + 1 :]
            yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
