"""Writes docs/api.md, the reference of all public names, by reading the code: nothing is imported or run.

usage: python scripts/api_reference.py [--check]
"""

import argparse
import ast
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_PAGE = _ROOT / "docs" / "api.md"

#: What may be imported from outside, in the order of the page; those that a checkout lacks are left out.
_FACADES = (
    "cars_hw",
    "cars_hw.spaces",
    "cars_hw.strategies",
    "cars_hw.objectives",
    "cars_hw.data",
    "cars_hw.networks",
    "cars_hw.testing",
    "devices",
    "devices.foundation",
    "latency_tables",
    "profilers",
    "profilers.runtimes",
    "profilers.formats",
    "profilers.lowering",
)

#: Bases that say nothing of a class's use.
_UNTOLD = ("ABC", "Protocol", "BaseModel")

_WIDTH = 116
_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises):\n((?:(?: {4}.*)?\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^([\w*., ]+): (.*(?:\n {4}.*)*)", re.MULTILINE)

_HEAD = """\
# Public names

Written by `scripts/api_reference.py` from the docstrings; a test holds it current. What is not here may
change without notice. Every error is a [`CarsHwError`](#devicesfoundationcarshwerror).
"""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Symbol:
    """A public object.

    Attributes:
        name: Without its module.
        module: Where it is defined, dotted.
        node: Its definition; an assignment for a value or a name of a type.
        comment: The lines of ``#:`` above an assignment.
    """

    name: str
    module: str
    node: ast.ClassDef | _Function | ast.Assign | ast.AnnAssign
    comment: str = ""

    @property
    def is_error(self) -> bool:
        """Whether it is an exception."""
        return isinstance(self.node, ast.ClassDef) and self.name.endswith("Error") and self.name != "Error"


def page(root: Path) -> str:
    """Return the reference of the checkout ``root``."""
    present = {name: _public(root, name) for name in _FACADES if _file(root, name) is not None}
    facades = {name: symbols for name, symbols in present.items() if symbols}
    homes = _homes(facades)
    blocks = [_HEAD, _contents(facades)]
    for facade, symbols in facades.items():
        here = [one for one in symbols if homes[one.module, one.name] == facade]
        others = [one for one in symbols if one not in here]
        blocks += [f"## {facade}\n", f"{_first_line(_tree(root, facade))}\n"]
        if others:
            links = [_link(one.name, homes[one.module, one.name]) for one in others]
            blocks.append(_wrapped(f"Also here, and described where they belong: {', '.join(links)}.") + "\n")
        blocks += [_described(one, facade) for one in _grouped(here)]
    return "\n".join(blocks).rstrip() + "\n"


def main() -> None:
    """Write the page, or with ``--check`` tell by the exit status whether it is current."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the page is not current"
    )
    is_checked = parser.parse_args().check
    wanted = page(_ROOT)
    if not is_checked:
        _PAGE.write_text(wanted, encoding="utf-8")
    elif not _PAGE.exists() or _PAGE.read_text(encoding="utf-8") != wanted:
        sys.exit("docs/api.md is not current; run: python scripts/api_reference.py")


def _public(root: Path, facade: str) -> list[Symbol]:
    """Return the objects that ``facade`` names in ``__all__``, without its modules."""
    found = (_find(root, facade, name) for name in _exported(_tree(root, facade)))
    return [one for one in found if one is not None]


def _exported(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _find(root: Path, module: str, name: str) -> Symbol | None:
    """Follow imports to where ``module`` has ``name`` from; ``None`` for a module."""
    path = _file(root, module)
    if path is None:
        raise SystemExit(f"{module}, which {name} is imported from, is no module of this project")
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in _top_level(_tree(root, module)):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() if node.name == name:
                return Symbol(name, module, node)
            case ast.Assign(targets=[ast.Name(id=target)]) if target == name:
                return Symbol(name, module, node, _comment_above(lines, node.lineno))
            case ast.AnnAssign(target=ast.Name(id=target)) if target == name:
                return Symbol(name, module, node, _comment_above(lines, node.lineno))
            case ast.ImportFrom(module=str(source), names=names):
                origin = next((one.name for one in names if (one.asname or one.name) == name), None)
                if origin is None:
                    continue
                if _file(root, f"{source}.{origin}") is not None and not _defines(root, source, origin):
                    return None
                return _find(root, source, origin)
            case _:
                continue
    raise SystemExit(f"{module} names {name} in __all__, and does not have it")


def _defines(root: Path, module: str, name: str) -> bool:
    return any(
        isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name
        for node in _tree(root, module).body
    )


def _top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements of a module, those for type checkers among them."""
    for node in tree.body:
        yield from node.body if isinstance(node, ast.If) else [node]


@cache
def _tree(root: Path, module: str) -> ast.Module:
    path = _file(root, module)
    if path is None:
        raise SystemExit(f"there is no module {module}")
    return ast.parse(path.read_text(encoding="utf-8"))


def _file(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _homes(facades: Mapping[str, Sequence[Symbol]]) -> dict[tuple[str, str], str]:
    """Return, for each object, the facade it is described under: of those that have it, the closest one."""

    def closeness(facade: str, module: str) -> int:
        return len(facade) if f"{module}.".startswith(f"{facade}.") else 0

    homes: dict[tuple[str, str], str] = {}
    for facade, symbols in facades.items():
        for one in symbols:
            before = homes.setdefault((one.module, one.name), facade)
            if closeness(facade, one.module) > closeness(before, one.module):
                homes[one.module, one.name] = facade
    return homes


def _comment_above(lines: Sequence[str], number: int) -> str:
    found: list[str] = []
    for line in reversed(lines[: number - 1]):
        if not line.startswith("#:"):
            break
        found.insert(0, line.removeprefix("#:").strip())
    return " ".join(found)


def _contents(facades: Mapping[str, Sequence[Symbol]]) -> str:
    rows = [f"| [{name}](#{_anchor(name)}) | {len(found)} |" for name, found in facades.items()]
    return "\n".join(["| module | names |", "|---|---|", *rows, ""])


def _grouped(symbols: Sequence[Symbol]) -> list[Symbol]:
    """Return functions, then classes, then errors, then the rest, each by name."""

    def group(one: Symbol) -> int:
        if isinstance(one.node, _Function):
            return 0
        return (2 if one.is_error else 1) if isinstance(one.node, ast.ClassDef) else 3

    return sorted(symbols, key=lambda one: (group(one), one.name))


def _described(symbol: Symbol, facade: str) -> str:
    heading = f"### {facade}.{symbol.name}\n"
    if isinstance(symbol.node, ast.ClassDef):
        return "\n".join([heading, _class(symbol.node)])
    if isinstance(symbol.node, _Function):
        signature = _signature(symbol.name, _parameters(symbol.node), _returned(symbol.node))
        return "\n".join([heading, _code(signature), _documentation(ast.get_docstring(symbol.node) or "")])
    return "\n".join([heading, _code(_quoted(ast.unparse(symbol.node))), _documentation(symbol.comment)])


def _class(node: ast.ClassDef) -> str:
    bases = [text for base in node.bases if (text := ast.unparse(base)) not in _UNTOLD and text[0] != "_"]
    head = f"class {node.name}" + (f"({', '.join(bases)})" if bases else "")
    made = _construction(node)
    shown = [head] if made is None else [head, _signature(node.name, made, "")]
    blocks = [_code("\n".join(shown)), _documentation(ast.get_docstring(node) or "")]
    members = [text for member in node.body if isinstance(member, _Function) and (text := _member(member))]
    return "\n".join([*blocks, *(["*Members:*\n", *members] if members else [])])


def _construction(node: ast.ClassDef) -> list[str] | None:
    """Return the parameters of a class; ``None`` where it has those of the class above it, or is abstract."""
    methods = {member.name: member for member in node.body if isinstance(member, _Function)}
    for name in ("__init__", "__new__"):
        if name in methods:
            return _parameters(methods[name])
    if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return None
    fields = [member for member in node.body if isinstance(member, ast.AnnAssign)]
    return [ast.unparse(one) for one in fields if "ClassVar" not in ast.unparse(one.annotation)]


def _member(node: _Function) -> str:
    """Return a public method or property with a docstring as an item of a list; "" for any other."""
    text = ast.get_docstring(node)
    if not text or (node.name.startswith("_") and node.name != "__call__"):
        return ""
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    if decorators & {"property", "cached_property"}:
        head = f"{node.name}: {ast.unparse(node.returns)}" if node.returns else node.name
    else:
        name = "self" if node.name == "__call__" else node.name
        head = f"{name}({', '.join(_parameters(node))})" + _returned(node)
    kinds = [kind for kind in ("classmethod", "staticmethod", "abstractmethod") if kind in decorators]
    note = f" ({', '.join(kind.replace('method', '') for kind in kinds)})" if kinds else ""
    body = _documentation(text).strip()
    return f"{_wrapped(f'- `{_quoted(head)}`{note}', later='  ')}\n\n{textwrap.indent(body, '  ')}\n"


def _parameters(node: _Function) -> list[str]:
    """Return the parameters as written, one a text, without that of the object itself."""
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    found = [_parameter(one, default) for one, default in zip(positional, defaults, strict=True)]
    if given.posonlyargs:
        found.insert(len(given.posonlyargs), "/")
    is_method = bool(positional) and positional[0].arg in ("self", "cls")
    found = found[1:] if is_method else found
    if found[:1] == ["/"]:
        found = found[1:]
    if given.vararg:
        found.append(f"*{_parameter(given.vararg, None)}")
    elif given.kwonlyargs:
        found.append("*")
    found += [_parameter(*pair) for pair in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return [*found, *([f"**{_parameter(given.kwarg, None)}"] if given.kwarg else [])]


def _parameter(one: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {ast.unparse(one.annotation)}" if one.annotation else ""
    if default is None:
        return f"{one.arg}{annotation}"
    return f"{one.arg}{annotation}{' = ' if annotation else '='}{ast.unparse(default)}"


def _returned(node: _Function) -> str:
    return f" -> {ast.unparse(node.returns)}" if node.returns else ""


def _signature(name: str, parameters: Sequence[str], returned: str) -> str:
    line = _quoted(f"{name}({', '.join(parameters)}){returned}")
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {_quoted(one)}," for one in parameters), f"){returned}"])


def _quoted(code: str) -> str:
    """Return unparsed code with the quotes of this project."""
    return code if '"' in code else code.replace("'", '"')


def _documentation(text: str) -> str:
    """Return a Google docstring as Markdown: paragraphs, and each of its sections as a list."""
    parts: list[str] = []
    end = 0
    text = f"{text}\n"
    for section in _SECTION.finditer(text):
        parts += [_paragraphs(text[end : section.start()]), _listed(section[1], section[2])]
        end = section.end()
    parts.append(_paragraphs(text[end:]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _paragraphs(text: str) -> str:
    return "\n\n".join(_wrapped(_plain(one)) for one in re.split(r"\n\s*\n", text.strip()))


def _listed(title: str, body: str) -> str:
    entries = _ENTRY.findall(textwrap.dedent(body)) if title not in ("Returns", "Yields") else []
    if not entries:
        return _wrapped(f"*{title}:* {_plain(textwrap.dedent(body))}")
    items = [_wrapped(f"- `{name}`: {_plain(meaning)}", later="  ") for name, meaning in entries]
    return "\n".join([f"*{title}:*", "", *items])


def _plain(text: str) -> str:
    """Return the text on one line, with Markdown's marks of code."""
    return re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split()))


def _wrapped(text: str, later: str = "") -> str:
    lines = textwrap.wrap(
        text, _WIDTH, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)


def _code(text: str) -> str:
    return f"```python\n{text}\n```\n"


def _link(name: str, facade: str) -> str:
    return f"[`{name}`](#{_anchor(f'{facade}.{name}')})"


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading).replace(" ", "-").lower()


def _first_line(tree: ast.Module) -> str:
    return _plain((ast.get_docstring(tree) or "").partition("\n")[0])


if __name__ == "__main__":
    main()
