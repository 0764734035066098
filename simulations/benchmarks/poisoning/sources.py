"""The code that an outcome is the measure of: the plug-ins of its scenario, and the detectors.

What they share with every other run (engine, server, sites, training) is held to its bits by ``tests/golden``.
"""

import ast
import hashlib
import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from medfed.config import Scenario

_ROOM = "robustness"


def code_digest(scenario: Scenario, measured_by: str) -> str:
    """Equal for two versions of the code only if they differ in comments and docstrings at most.

    Args:
        scenario: whose plug-ins are looked at.
        measured_by: the module that makes outcomes of runs.
    """
    names = _with_imports([measured_by, *_plugin_modules(scenario)])
    return hashlib.sha256("\n".join(f"{name} {_tree(name)[0]}" for name in names).encode()).hexdigest()


def _plugin_modules(value: Any) -> Iterator[str]:
    """The modules of all plug-ins in a section or plug-in."""
    if is_dataclass(value):
        yield type(value).__module__
        held = [getattr(value, field.name) for field in fields(value)]
    else:
        held = [entry for _, entry in value] if isinstance(value, BaseModel) else []
    for entry in held:
        for one in entry if isinstance(entry, tuple) else (entry,):
            yield from _plugin_modules(one)


def _with_imports(names: Iterable[str]) -> list[str]:
    """``names``, and what they import of :data:`_ROOM`, and so on, sorted."""
    found, todo = set[str](), list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += (one for one in _tree(name)[1] if one.partition(".")[0] == _ROOM)
    return sorted(found)


@lru_cache
def _tree(name: str) -> tuple[str, tuple[str, ...]]:
    """The code of a module without comments and docstrings, and what it imports."""
    return read(inspect.getsource(importlib.import_module(name)))


def read(source: str) -> tuple[str, tuple[str, ...]]:
    """Of a module's ``source``: its syntax tree without docstrings, as text; and the modules that it imports."""
    tree, imported = ast.parse(source), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= {node.module} | {name for name in inner if name in sys.modules}
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [one for one in node.body if not _is_docstring(one)]
    return ast.dump(tree), tuple(sorted(imported))


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
