"""The source tree keeps its shape: size, names, and which package imports which. Read by ast, nothing is imported."""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "activa"
FILES = sorted(SOURCE.rglob("*.py"))
SPECIAL = {"__init__.py", "__main__.py"}

pytestmark = pytest.mark.skipif(not FILES, reason="only in a checkout")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def n_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def package(module: str) -> str:
    """Top-level folder or file of a module: "activa.metrics.distances" is in "metrics", "activa" itself in ""."""
    return module.split(".")[1] if "." in module else ""


def module_of(path: Path) -> str:
    parts = ["activa", *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> set[str]:
    """Full names of all imported modules and objects: "activa.data.Cells" for ``from activa.data import Cells``."""
    here = module_of(path).split(".")
    if path.name != "__init__.py":
        here = here[:-1]
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = here[: len(here) + 1 - node.level] if node.level else []
            found |= {".".join([*parents, *filter(None, [node.module]), alias.name]) for alias in node.names}
    return found


def functions(path: Path):
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function with its signature, without its docstring."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= first.end_lineno - first.lineno + 1
    return lines


def package_imports() -> dict[str, dict[str, list[str]]]:
    """Files behind each import of one package of activa by another; those for type checkers and in functions count too."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    top_level = {package(module_of(path)) for path in FILES}
    for path in FILES:
        importer = package(module_of(path))
        for target in imports(path):
            if target.split(".")[0] == "activa":
                # ``import activa`` and ``from activa import ACTIVA`` import the root
                imported = package(target) if package(target) in top_level else ""
                if imported != importer:
                    found[importer][imported].append(name(path))
    return found


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Sets of nodes that reach each other (strongly connected components of more than one node)."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = graph.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return seen

    reach = {node: reached(node) for node in {*graph, *(node for nodes in graph.values() for node in nodes)}}
    groups = {frozenset(n for n in reach if n in reach[node] and node in reach[n]) for node in reach}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def test_cycles_are_found():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": set()}) == [["a", "b", "c"]]
    assert cycles({"a": {"b", "c"}, "b": {"c"}}) == []


def check_empty(violations: list[str]) -> None:
    assert not violations, "\n" + "\n".join(violations)  # all of them, which pytest would shorten


def test_packages_do_not_import_each_other_in_cycles():
    found = package_imports()
    check_empty(
        [
            f"{importer or 'activa'} -> {imported or 'activa'} in {sorted(set(files))}"
            for group in cycles({importer: set(imported) for importer, imported in found.items()})
            for importer in group
            for imported, files in found[importer].items()
            if imported in group
        ]
    )


def test_no_two_files_have_one_name():
    by_name = defaultdict(list)
    for path in FILES:
        by_name[path.name].append(name(path))
    check_empty([f"{file}: {paths}" for file, paths in by_name.items() if len(paths) > 1 and file not in SPECIAL])


def test_no_file_name_begins_with_an_underscore():
    hidden = [
        path for path in FILES if any(p.startswith("_") for p in path.relative_to(SOURCE).parts if p not in SPECIAL)
    ]
    check_empty([name(path) for path in hidden])


def test_only_one_file_imports_what_is_private_in_scvi():
    check_empty(
        [
            f"{name(path)} imports {target}"
            for path in FILES
            for target in sorted(imports(path))
            if target.startswith("scvi.") and "._" in target and name(path) != "scvi_private.py"
        ]
    )


def test_no_file_is_longer_than_350_lines():
    check_empty([f"{name(path)}: {n_lines(path)}" for path in FILES if n_lines(path) > 350])


def test_functions_are_shorter_than_80_lines():
    all_functions = [(path, function) for path in FILES for function in functions(path)]
    check_empty([f"{name(path)}: {node.name}: {length(node)}" for path, node in all_functions if length(node) >= 80])


def test_the_source_is_at_most_117_files_and_18900_lines():
    size = len(FILES), sum(map(n_lines, FILES))
    assert size[0] <= 117 and size[1] <= 18_900, size
