"""Checks of source text: each takes text and returns complaints, so that each can be shown to complain."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = "sparse_s4r"
_LEAVES = {"structures", "geometry"}
_BELOW_BUILD = {
    *_LEAVES,
    "sparse",
    "models",
    "render",
    "losses",
    "segmentation",
    "data",
    "config",
    "config_files",
    "config_loss",
    "weights",
}
_BELOW_TASKS = {*_BELOW_BUILD, "build", "weights_file", "checkpoint"}
_TASKS = {"training", "inference", "evaluation", "viewer"}
# What each part of the package may import besides itself; a part that is not listed is an error.
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "structures": set(),
    "geometry": {"structures"},
    "sparse": _LEAVES,
    "models": {*_LEAVES, "sparse"},
    "render": _LEAVES,
    "losses": _LEAVES,
    "weights": {"structures"},
    "segmentation": {*_LEAVES, "weights"},
    "data": _LEAVES,
    "config_files": {"structures"},
    "config_loss": {"structures", "config_files"},
    "config": {"structures", "config_files", "config_loss"},
    "build": _BELOW_BUILD,
    "weights_file": {"structures", "config"},
    "checkpoint": {"structures", "config", "build", "weights_file"},
    **dict.fromkeys(_TASKS, _BELOW_TASKS),
    # Trains, predicts and evaluates.
    "refine": {*_BELOW_TASKS, *_TASKS},
    "cli": {*_BELOW_TASKS, *_TASKS, "refine"},
    "__main__": {"cli"},
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_name(path: Path, root: Path) -> str:
    """Dotted name of a file; a package's ``__init__`` keeps that as its last part."""
    return ".".join(path.relative_to(root).with_suffix("").parts)


def imported_modules(text: str, module: str) -> list[tuple[int, str]]:
    """(line, dotted name) of everything that ``module`` with source ``text`` imports, wherever in the file."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__"):
            found += [(node.lineno, str(a.value)) for a in node.args[:1] if isinstance(a, ast.Constant)]
    return found


def wrong_imports(text: str, module: str) -> list[str]:
    """Imports of ``module`` against the dependency direction."""
    part = module.split(".")[1]
    if part not in ALLOWED:
        return [f"{module}: expected a part of the package that ALLOWED lists, got {part!r}; give it its place there"]
    complaints = []
    for line, target in imported_modules(text, module):
        names = target.split(".")
        if names[0] == "tools" or (names[0] == "tests"):
            complaints.append(f"{module}:{line} imports {target}; the package imports neither tools nor tests")
        if names[0] != PACKAGE or len(names) == 1 or names[1] in (part, "__version__"):
            continue
        if names[1] not in ALLOWED[part]:
            allowed = ", ".join(sorted(ALLOWED[part])) or "nothing of the package"
            complaints.append(f"{module}:{line} imports {target}; {part} may import {allowed}")
    return complaints


def production_imports(text: str, module: str) -> list[str]:
    """Imports of the package by an oracle, which would make it depend on what it judges."""
    found = imported_modules(text, module)
    return [f"{module}:{line} imports {name}" for line, name in found if name.split(".")[0] == PACKAGE]


def tests_without_assertion(text: str, name: str) -> list[str]:
    """Test functions in which nothing is asserted, neither there nor in a function of the same file that they call."""
    tree = ast.parse(text)
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, Function)}
    return [
        f"{name}:{node.lineno} {node.name} asserts nothing"
        for node in functions.values()
        if node.name.startswith("test_") and not _asserts(node, functions, frozenset())
    ]


def _asserts(function: Function, functions: dict[str, Function], seen: frozenset[str]) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant):
            return True
        if not isinstance(node, ast.Call):
            continue
        called = _name(node.func)
        if called in ("raises", "warns", "gradcheck", "gradgradcheck", "fail") or called.startswith("assert_"):
            return True
        helper = functions.get(called)
        if helper and called not in seen and _asserts(helper, functions, seen | {function.name, called}):
            return True
    return False


def undocumented(text: str, name: str) -> list[str]:
    """Public classes, functions and methods without a docstring, and the module itself."""
    tree = ast.parse(text)
    complaints = [] if ast.get_docstring(tree) else [f"{name}: the module has no docstring"]
    for qualified, node in _public(tree):
        if not ast.get_docstring(node):
            complaints.append(f"{name}:{node.lineno} {qualified} has no docstring")
    return complaints


def _public(scope: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for node in ast.walk(scope) if isinstance(scope, ast.Module) else scope.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        if isinstance(scope, ast.Module) and node not in scope.body:
            continue
        decorators = {_name(decorator) for decorator in node.decorator_list}
        if not decorators & {"overload", "setter"}:
            yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from _public(node, f"{prefix}{node.name}.")


def oversized(text: str, name: str, file_lines: int, function_lines: int) -> list[str]:
    """Files and functions that are longer than one reads at a time."""
    lines = len(text.splitlines())
    complaints = [f"{name}: {lines} lines, expected at most {file_lines}; split it"] if lines > file_lines else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Function):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > function_lines:
                complaints.append(
                    f"{name}:{node.lineno} {node.name}: {length} lines, expected at most {function_lines}"
                )
    return complaints


def config_fields(text: str) -> list[tuple[str, str]]:
    """(class, field) of every annotated field in the classes of a config module."""
    return [
        (node.name, item.target.id)
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.AnnAssign)
        and isinstance(item.target, ast.Name)
        and _name(item.annotation) != "ClassVar"
    ]


def reads_config(text: str, module: str) -> bool:
    """Whether a module can hold a config at all: it imports it, or what builds from it or stores it."""
    holders = tuple(f"{PACKAGE}.{part}" for part in ("config", "build", "checkpoint"))
    return any(f"{name}.".startswith(tuple(f"{h}." for h in holders)) for _, name in imported_modules(text, module))


def unread_fields(config_text: str, readers: Iterable[str]) -> list[str]:
    """Fields of the config that no source text in ``readers`` reads as an attribute."""
    read = {
        node.attr
        for text in readers
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    return [f"{owner}.{field} is read nowhere" for owner, field in config_fields(config_text) if field not in read]


def _name(node: ast.expr) -> str:
    """Last part of a name, dotted name, subscripted name or call of one."""
    if isinstance(node, ast.Call):
        return _name(node.func)
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
