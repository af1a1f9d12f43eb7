"""Writes docs/configuration.md, the list of all keys of a configuration, from the classes that check them.

usage: python scripts/configuration_reference.py [--check]
"""

import argparse
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cars_hw.config import SearchConfig
from cars_hw.data import DataSet
from cars_hw.spaces import SearchSpace
from cars_hw.strategies import Strategy
from devices.foundation import load_plugin, plugin_names, settings_type
from profilers.runtimes import Runtime

_PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"

#: By the section, or the key, that names a plug-in: its folder, its contract, and what it is.
_PLUGINS: Mapping[str, tuple[str, type, str]] = {
    "space": ("cars_hw.spaces", SearchSpace, "space"),
    "strategy": ("cars_hw.strategies", Strategy, "strategy"),
    "data": ("cars_hw.data", DataSet, "data set"),
    "latency.settings": ("profilers.runtimes", Runtime, "runtime"),
}

_ENTRY = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
_BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"), ("multiple_of", "multiple of"))

_HEAD = """\
# Configuration

Written by `scripts/configuration_reference.py` from the classes that check a configuration; a test holds it
current.

A configuration is a TOML file. It says what differs from the defaults below; `cars-hw init` writes one with
every key spelled out. Later wins: defaults, the file (`--config`), `--set section.key=value` (the value as
TOML, else as text), then the short options (`--table`, `--seed`, ...). From Python:
`SearchConfig.load(path, {"section.key": value})`. An unknown key, or a value out of bounds, is an error
before anything runs. The resolved configuration is `config.toml` of the run folder, and a search goes on by
that and by what was amended since: [going-on.md](going-on.md).

Several targets are sections `[targets.NAME]` in place of `[latency]`, with the same keys. Each is an
objective `latency_ms.NAME`; `latency_ms` among `search.objectives` means all of them. Verbs that measure
take `--target NAME`, and `search` takes `--max-latency-ms NAME=MS`. `[limits]` holds the most that any
other cost may be, by the objective's name: `peak_memory_bytes = 2000000`.

A name with a dot is a module from outside, found as Python finds modules, and in the current folder last.
**Naming one runs its code.** Names on the command line and in the file of `--config` are yours; those in a
run folder, a table or a model card may be somebody else's, and are refused without `--allow-plugin NAME`.

What exit statuses mean stands in [troubleshooting.md](troubleshooting.md).
"""


def page() -> str:
    """Return the page."""
    blocks = [_HEAD]
    for name, field in SearchConfig.model_fields.items():
        section = next(iter(get_args(field.annotation)), field.annotation)  # without the None of an optional
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            continue  # targets and limits, which the head explains
        blocks += [f"## [{name}]\n", f"{_first_line(section)}\n", _table(section)]
        blocks += [text for key in (name, f"{name}.settings") for text in _of_plugins(key)]
    return "\n".join(blocks)


def main() -> None:
    """Write the page, or with ``--check`` tell by the exit status whether it is current."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the page is not current"
    )
    is_checked = parser.parse_args().check
    wanted = page()
    if not is_checked:
        _PAGE.write_text(wanted, encoding="utf-8")
    elif not _PAGE.exists() or _PAGE.read_text(encoding="utf-8") != wanted:
        sys.exit("docs/configuration.md is not current; run: python scripts/configuration_reference.py")


def _of_plugins(key: str) -> Iterator[str]:
    """Yield what each plug-in that ``key`` may name has as further keys."""
    if key not in _PLUGINS:
        return
    package, contract, what = _PLUGINS[key]
    for plugin in plugin_names(package):
        settings = settings_type(load_plugin(package, plugin, contract, what=what))
        if settings.model_fields:
            yield f"With {what} `{plugin}`" + (", as `latency.settings.KEY`:\n" if "." in key else ":\n")
            yield _table(settings)


def _table(model: type[BaseModel]) -> str:
    meanings = _meanings(model)
    rows = [
        f"| `{name}` | {_default(field)} | {_allowed(field)} | {meanings.get(name, '')} |"
        for name, field in model.model_fields.items()
        if not (name == "settings" and field.default_factory)
    ]
    return "\n".join(["| key | default | values | meaning |", "|---|---|---|---|", *rows, ""])


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case tuple() | list():
            return f"[{', '.join(map(_toml, value))}]"
    return str(value)


def _allowed(field: FieldInfo) -> str:
    """Return a field's type and bounds in words."""
    found = [part for part in (_type(field.annotation), _bounds(field.metadata)) if part]
    return ", ".join(found)


def _type(annotation: Any) -> str:
    names = {int: "integer", float: "number", str: "text", bool: "true or false"}
    if annotation in names:
        return names[annotation]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{_toml(value)}`" for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    parts = [_type(one) for one in get_args(annotation) if one is not type(None)]
    return " or ".join(part for part in parts if part)


def _bounds(metadata: list[Any]) -> str:
    bounds = [
        f"{sign} {_number(getattr(one, name))}"
        for one in metadata
        for name, sign in _BOUNDS
        if getattr(one, name, None) is not None
    ]
    return ", ".join(bounds)


def _number(value: float) -> str:
    """Return a bound; the largest integer of TOML as what it is."""
    return "2^63 - 1" if value == 2**63 - 1 else f"{value:.15g}"


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return what the docstrings of ``model`` and of the classes above it say of each attribute."""
    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if issubclass(owner, BaseModel) and owner is not BaseModel:
            _, _, attributes = (inspect.getdoc(owner) or "").partition("Attributes:\n")
            found |= {key: " ".join(text.split()) for key, text in _ENTRY.findall(attributes)}
    return {key: text.replace("``", "`").replace("|", "\\|") for key, text in found.items()}


def _first_line(model: type[BaseModel]) -> str:
    return (inspect.getdoc(model) or "").partition("\n")[0]


if __name__ == "__main__":
    main()
