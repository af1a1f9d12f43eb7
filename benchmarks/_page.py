"""The commands of docs/own-images.md, and the settings that it changes: what the page shows is what runs."""

import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import tomli_w

PAGE = Path(__file__).parents[1] / "docs" / "own-images.md"


class Command(NamedTuple):
    """A line of the page: its name, which is its verb, numbered from the second time on; and its words."""

    name: str
    words: tuple[str, ...]


def commands() -> list[Command]:
    """Return the commands of the page, in its order; patterns for files are left as they are."""
    lines = [line for block in _blocks("sh") for line in block.splitlines()]
    found: list[Command] = []
    for words in (tuple(shlex.split(line)) for line in lines):
        verb = _verb(words)
        n = 1 + sum(_verb(earlier.words) == verb for earlier in found)
        found.append(Command(verb if n == 1 else f"{verb} {n}", words))
    return found


def settings() -> dict[str, object]:
    """Return the settings that the page changes, by dotted keys."""
    [text] = _blocks("toml")
    sections = tomllib.loads(text)
    return {f"{section}.{key}": value for section, keys in sections.items() for key, value in keys.items()}


def edited(text: str, changes: Mapping[str, object]) -> str:
    """Return a configuration in which each dotted key of ``changes`` has its value, as an editor would."""
    for dotted, value in changes.items():
        section, key = dotted.split(".")
        line = tomli_w.dumps({key: value})
        if f"[{section}]\n" not in text:
            text += f"\n[{section}]\n"
        before, head, rest = text.partition(f"[{section}]\n")
        own, mark, after = rest.partition("\n[")
        own, n = re.subn(rf"(?m)^(?:# )?{key} =.*\n", line.replace("\\", r"\\"), own)
        text = before + head + (own if n else line + own) + mark + after
    return text


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def _verb(words: Sequence[str]) -> str:
    """Return the verb of a command."""
    if words[0] == "python":
        return "example"
    return " ".join(words[1:3]) if words[1] in ("data", "table") else words[1]
