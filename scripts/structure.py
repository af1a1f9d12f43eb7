"""Prints figures of the code's structure and their goals, by reading it: nothing is imported or run.

usage: python scripts/structure.py [--root DIR] [--json FILE]
"""

import argparse
import ast
import io
import json
import re
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

#: From high to low: each may import those that follow.
PACKAGES = ("cars_hw", "profilers", "latency_tables", "devices")

#: What other packages may import.
FACADES = frozenset(
    (
        "devices",
        "devices.foundation",
        "latency_tables",
        "profilers",
        "profilers.runtimes",
        "profilers.lowering",
        "profilers.formats",
    )
)

#: One verb of the command line a file; counted like plug-ins.
_VERBS = "cars_hw.cli"

#: Tests that lie among the source.
_SUITES = "cars_hw.testing"

#: What finds plug-ins: a package that a call of one of these names is a folder of plug-ins.
_FINDERS = ("plugin_names", "load_plugin")

_SHOWN = 8

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Module:
    """A file of one of the packages, parsed.

    Attributes:
        name: Dotted; a package's is that of its folder.
        path: Of the file.
        tree: Its syntax tree.
    """

    name: str
    path: Path
    tree: ast.Module

    @property
    def folder(self) -> str:
        """The dotted name of the folder."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


@dataclass(frozen=True, order=True)
class Import:
    """That a module imports another one of the four packages."""

    importer: str
    imported: str

    def __str__(self) -> str:
        return f"{self.importer} -> {self.imported}"


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: What is counted.
        value: The count, or a percentage where the name says so.
        goal: What it should be, in words; empty for none.
        found: What was counted, each as one line; for a share, what it lacks.
    """

    name: str
    value: float
    goal: str = ""
    found: tuple[str, ...] = ()


def figures(root: Path) -> list[Figure]:
    """Read the checkout ``root`` and return its figures.

    Raises:
        SyntaxError: A file does not parse.
    """
    modules = read_modules(root)
    imports = find_imports(modules)
    folders = plugin_folders(modules)
    kin = filter(_are_of_one_kind, plugin_imports(imports, plugins_of(modules, folders)))
    return [
        *_folder_figures(modules, plugins_of(modules, {*folders, _VERBS})),
        *_facade_figures(imports),
        _counted("circles of imports between modules", _lines_of(module_circles(imports)), "0"),
        _counted("circles of imports between siblings", _lines_of(sibling_circles(imports)), "0"),
        _counted("upward imports", map(str, upward_imports(imports, read_layers(root))), "0"),
        _counted("plug-ins that import one of their kind", map(str, kin), "0"),
        _typed(modules),
        *_size_figures(root, modules),
        *_comment_figures(modules),
        *_docstring_figures(modules),
    ]


def read_modules(root: Path) -> dict[str, Module]:
    """Parse every file of the four packages below ``root``; by dotted name."""
    modules = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
            modules[name] = Module(name, path, tree)
    return modules


def find_imports(modules: Mapping[str, Module]) -> list[Import]:
    """List the imports between ``modules``, wherever in a file they stand, each once."""
    found = set()
    for module in modules.values():
        for node in ast.walk(module.tree):
            for name in _names_imported(node, module, modules):
                if name in modules and name != module.name:
                    found.add(Import(module.name, name))
    return sorted(found)


def _names_imported(node: ast.AST, module: Module, modules: Mapping[str, Module]) -> Iterator[str]:
    """Yield the modules that a statement imports; ``from a import b`` means ``a.b`` where that is one."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = module.folder.split(".")
            base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            yield inner if inner in modules else base


def plugin_folders(modules: Mapping[str, Module]) -> list[str]:
    """List the packages in which plug-ins are found by name, as the calls that find them say."""
    found = set()
    for module in modules.values():
        texts = _module_constants(module)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and _called(node) in _FINDERS and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add(first.value)
                elif isinstance(first, ast.Name):
                    found.add(texts.get(first.id, ""))
    return sorted(found & modules.keys())


def _called(node: ast.Call) -> str:
    """Return the last part of the name of what is called; empty where it has none."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _module_constants(module: Module) -> dict[str, str]:
    """Return the texts that names of the module stand for, ``__name__`` among them."""
    texts = {"__name__": module.name}
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            texts.update(
                (target.id, str(node.value.value)) for target in node.targets if isinstance(target, ast.Name)
            )
    return texts


def plugins_of(modules: Mapping[str, Module], folders: Collection[str]) -> list[str]:
    """List the plug-ins: the files of ``folders`` without a leading underscore."""
    return [
        name
        for name, module in modules.items()
        if module.folder in folders and module.folder != name and not name.rpartition(".")[2].startswith("_")
    ]


def plugin_imports(imports: Iterable[Import], plugins: Collection[str]) -> list[Import]:
    """List the imports of a plug-in by another plug-in, direct ones and those through other modules."""
    graph = _graph(imports)
    return [
        Import(name, other)
        for name in plugins
        for other in sorted(_reachable(graph, name).intersection(plugins))
        if other != name
    ]


def _are_of_one_kind(one: Import) -> bool:
    return one.importer.rpartition(".")[0] == one.imported.rpartition(".")[0]


def _folder_figures(modules: Mapping[str, Module], apart: Collection[str]) -> Iterator[Figure]:
    counts = Counter(module.folder for name, module in modules.items() if name not in apart)
    plugins = Counter(modules[name].folder for name in apart)
    yield _fullest("files in the fullest folder", counts, "at most 14")
    yield _fullest("plug-ins or verbs in the fullest folder", plugins, "")


def _package(module: str) -> str:
    return module.partition(".")[0]


def _fullest(name: str, counts: Counter[str], goal: str) -> Figure:
    ordered = counts.most_common(3)
    return Figure(name, max(counts.values(), default=0), goal, tuple(f"{n} in {at}" for at, n in ordered))


def _facade_figures(imports: Iterable[Import]) -> Iterator[Figure]:
    across = [one.imported for one in imports if _package(one.importer) != _package(one.imported)]
    private = Counter(name for name in across if any(part.startswith("_") for part in name.split(".")))
    inner = Counter(name for name in across if name not in FACADES)
    for name, counts in (("private modules", private), ("modules that are no facade,", inner)):
        lines = [f"{module}, by {n}" for module, n in counts.most_common()]
        yield _counted(f"{name} imported across packages", lines, "0")


def module_circles(imports: Iterable[Import]) -> list[list[str]]:
    """List the groups of modules of which each imports each other, directly or through others."""
    return _circles(_graph(imports))


def sibling_circles(imports: Iterable[Import]) -> list[list[str]]:
    """List the circles between the files and folders of one folder, a folder taken with all that it holds."""
    graphs: dict[str, dict[str, set[str]]] = {}
    for one in imports:
        importer, imported = one.importer.split("."), one.imported.split(".")
        depth = next((i for i, (a, b) in enumerate(zip(importer, imported, strict=False)) if a != b), None)
        if depth is not None:
            graph = graphs.setdefault(".".join(importer[:depth]), {})
            graph.setdefault(".".join(importer[: depth + 1]), set()).add(".".join(imported[: depth + 1]))
    return list(chain.from_iterable(_circles(graph) for graph in graphs.values()))


def _graph(imports: Iterable[Import]) -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {}
    for one in imports:
        graph.setdefault(one.importer, set()).add(one.imported)
    return graph


def _circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    reached = {name: _reachable(graph, name) for name in graph}
    circles = {
        tuple(sorted(other for other in reached[name] if name in reached.get(other, ())))
        for name in graph
        if name in reached[name]
    }
    return [list(circle) for circle in sorted(circles)]


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = list(graph.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(graph.get(name, ()))
    return found


def read_layers(root: Path) -> list[list[list[str]]]:
    """Return the orders of layers, from high to low: the packages', and those of ``pyproject.toml``.

    Each layer is a list of modules, which do not know each other.
    """
    orders = [[[package] for package in PACKAGES]]
    path = root / "pyproject.toml"
    settings = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for contract in settings.get("tool", {}).get("importlinter", {}).get("contracts", []):
        if contract["type"] == "layers":
            for container in contract.get("containers", [""]):
                layers = [_layer(text, container) for text in contract["layers"]]
                orders.append(layers)
    return orders


def _layer(text: str, container: str) -> list[str]:
    names = re.findall(r"[\w.]+", text)
    return [f"{container}.{name}" if container else name for name in names]


def upward_imports(imports: Iterable[Import], orders: Iterable[Sequence[Sequence[str]]]) -> list[Import]:
    """List the imports of a higher layer by a lower one, or of one by another on the same height."""
    orders = list(orders)
    return [one for one in imports if any(_is_upward(one, order) for order in orders)]


def _is_upward(one: Import, order: Sequence[Sequence[str]]) -> bool:
    places = [
        [(height, layer) for height, names in enumerate(order) for layer in names if _is_in(module, layer)]
        for module in (one.importer, one.imported)
    ]
    if not all(places):
        return False
    (height, mine), (other_height, its) = places[0][0], places[1][0]
    return mine != its and height >= other_height


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _typed(modules: Mapping[str, Module]) -> Figure:
    untyped, n = [], 0
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                n += 1
                if node.returns is None:
                    untyped.append(f"{module.name}.{node.name}, line {node.lineno}")
    return Figure("functions with return types, %", _percent(n - len(untyped), n), "100", tuple(untyped))


def _size_figures(root: Path, modules: Mapping[str, Module]) -> Iterator[Figure]:
    suites = sum(_lines(module.path) for module in modules.values() if _is_in(module.name, _SUITES))
    source = sum(_lines(module.path) for module in modules.values()) - suites
    tests = sum(map(_lines, (root / "tests").rglob("*.py")))
    yield Figure("lines of source", source)
    yield Figure("lines of tests", tests)
    yield Figure("lines of shipped suites of tests", suites)
    yield Figure("lines of tests and suites for one of source", round((tests + suites) / max(source, 1), 2))


def _comment_figures(modules: Mapping[str, Module]) -> Iterator[Figure]:
    for package in PACKAGES:
        paths = [module.path for module in modules.values() if _package(module.name) == package]
        comments, lines = sum(map(_comments, paths)), sum(map(_lines, paths))
        yield Figure(f"lines of {package} that are comments, %", _percent(comments, lines))


def _comments(path: Path) -> int:
    """Count the lines that are a comment and nothing else."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return sum(token.type == tokenize.COMMENT and token.line.lstrip().startswith("#") for token in tokens)


def _docstring_figures(modules: Mapping[str, Module]) -> Iterator[Figure]:
    outer: list[str] = []
    methods: list[str] = []
    for module in modules.values():
        for node in _public(module.tree.body):
            if ast.get_docstring(node, clean=False) is None:
                outer.append(f"{module.name}.{node.name}")
            if isinstance(node, ast.ClassDef):
                methods += [
                    f"{module.name}.{node.name}.{method.name}"
                    for method in _public(node.body)
                    if ast.get_docstring(method, clean=False) is None
                ]
    yield _counted("public functions and classes without docstring", outer, "")
    yield _counted("public methods without docstring, overrides among them", methods, "")


def _public(body: Iterable[ast.stmt]) -> Iterator[_Definition]:
    for node in body:
        if isinstance(node, _Definition) and not node.name.startswith("_"):
            yield node


def _counted(name: str, lines: Iterable[str], goal: str) -> Figure:
    found = tuple(lines)
    return Figure(name, len(found), goal, found)


def _lines_of(circles: Iterable[Iterable[str]]) -> Iterator[str]:
    return (", ".join(circle) for circle in circles)


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _percent(part: int, whole: int) -> float:
    """Return the share in percent, rounded down: 100 means all."""
    return (1000 * part // whole) / 10 if whole else 100.0


def main(arguments: Sequence[str]) -> None:
    """Print the figures, and write them as JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    here = Path(__file__).resolve().parent.parent
    parser.add_argument("--root", type=Path, default=here, help="the checkout to read (default: this one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    found = figures(options.root)
    width = max(len(figure.name) for figure in found)
    for figure in found:
        goal = f"   goal: {figure.goal}" if figure.goal else ""
        sys.stdout.write(f"{figure.name:{width}}  {figure.value:>7g}{goal}\n")
        if goal:
            hidden = len(figure.found) - _SHOWN
            lines = [*figure.found[:_SHOWN], *([f"and {hidden} more"] if hidden > 0 else [])]
            sys.stdout.writelines(f"    {line}\n" for line in lines)
    if options.json:
        options.json.write_text(json.dumps([asdict(figure) for figure in found], indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
