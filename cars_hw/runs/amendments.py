"""Amendments: what was changed in a run since it began, as numbered files that hang on each other by hashes.

The first line of ``0001.toml`` is the SHA-256 of all others. Those have the number, the keys with their
values before and after, the generation after which they were changed, and the hash of the link before: that
of the stored configuration, or of the amendment before. A file is believed where it holds to the byte.
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import tomli_w
from pydantic import JsonValue, TypeAdapter, ValidationError

from cars_hw.errors import CheckpointError
from devices.foundation import read_regular

_MAX_BYTES = 1 << 20
_HASH_LINE = re.compile(rb'sha256 = "([0-9a-f]{64})"\n')


@dataclass(frozen=True)
class Change:
    """A key of the configuration with another value.

    Attributes:
        key: Dotted: ``"search.generations"``; or that of a section that came or went as a whole.
        before: The value until then; ``None`` where there was none.
        after: The value from then on; ``None`` where there is none any more.
    """

    key: str
    before: JsonValue = None
    after: JsonValue = None

    def __str__(self) -> str:
        return f"{self.key}: {_shown(self.before)} -> {_shown(self.after)}"


@dataclass(frozen=True)
class Amendment:
    """What was changed at one time.

    Attributes:
        number: 1 for the first of a run, then 2, 3, ...
        generation: The last one that was complete; -1 where none was.
        changes: The keys that were changed.
        previous: SHA-256 of the link before.
        tables_before: Digests of the latency tables that went out of use, by their names in fingerprints.
        tables_after: Digests of those that came into use.
        sha256: Its own; empty before it is written.
    """

    number: int
    generation: int
    changes: tuple[Change, ...]
    previous: str
    tables_before: Mapping[str, str] = field(default_factory=dict)
    tables_after: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""

    @property
    def link(self) -> str:
        """What a checkpoint that was written under it has as its configuration."""
        return f"{self.number:04d}:{self.sha256}"

    def __str__(self) -> str:
        changes = ", ".join(map(str, self.changes))
        when = "before the first generation" if self.generation < 0 else f"after generation {self.generation}"
        return f"amendment {self.number}, {when}: {changes}"

    def change(self, key: str) -> Change | None:
        """Return what it changes of ``key``, if it does."""
        return next((change for change in self.changes if change.key == key), None)


_AMENDMENT = TypeAdapter(Amendment)


def amendment_path(folder: Path, number: int) -> Path:
    """Return where an amendment lies."""
    return folder / f"{number:04d}.toml"


def read_amendments(folder: Path, first: str) -> tuple[Amendment, ...]:
    """Return the amendments that lie in ``folder``, in their order; none where there is no such folder.

    Args:
        folder: Not trusted.
        first: SHA-256 of the stored configuration, on which the first of them hangs.

    Raises:
        CheckpointError: One is missing, damaged, changed, or another's; the message names it.
    """
    found: list[Amendment] = []
    for number in range(1, _last_number(folder) + 1):
        amendment = _read(amendment_path(folder, number))
        previous = found[-1].sha256 if found else first
        if (amendment.number, amendment.previous) != (number, previous):
            before = amendment_path(folder, number - 1) if found else "config.toml"
            raise CheckpointError(
                f"amendment {amendment_path(folder, number)} is number {amendment.number} of a run whose "
                f"{before} was another: one of the two was changed, or replaced; restore it from a copy, or "
                "begin anew in another folder"
            )
        found.append(amendment)
    return tuple(found)


def amendment_text(amendment: Amendment) -> str:
    """Return what stands in the file of ``amendment``; its own hash is made anew."""
    values = {name: value for name, value in asdict(amendment).items() if name != "sha256" and value != {}}
    values["changes"] = [
        {name: value for name, value in asdict(change).items() if value is not None}
        for change in amendment.changes
    ]
    body = tomli_w.dumps(values)
    return f'sha256 = "{hashlib.sha256(body.encode()).hexdigest()}"\n{body}'


def amended_values(values: Mapping[str, JsonValue], amendments: Sequence[Amendment]) -> dict[str, JsonValue]:
    """Return ``values``, section by section, with what ``amendments`` change."""
    amended = dict(values)
    for amendment in amendments:
        for change in amendment.changes:
            amended = _with(amended, _path(change.key), change.after)
    return amended


def _shown(value: JsonValue) -> str:
    if isinstance(value, dict):
        return f"a section of {len(value)} keys"
    return "none" if value is None else str(value)


def _last_number(folder: Path) -> int:
    """Return the largest number of an amendment in ``folder``, or 0."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise CheckpointError(f"cannot read {folder}: {error.strerror}") from error
    numbers = [int(name.removesuffix(".toml")) for name in names if re.fullmatch(r"[0-9]{1,9}\.toml", name)]
    return max(numbers, default=0)


def _read(path: Path) -> Amendment:
    try:
        text = read_regular(path, _MAX_BYTES)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"amendment {path} is missing: it changed this run's configuration; restore it from a copy, or "
            "begin anew in another folder"
        ) from error
    except OSError as error:
        raise CheckpointError(f"cannot read amendment {path}: {error.strerror}") from error
    line = _HASH_LINE.match(text)
    body = text[line.end() :] if line else b""
    sha256 = hashlib.sha256(body).hexdigest()
    if line is None or line[1].decode() != sha256:
        raise CheckpointError(
            f"amendment {path} was changed after it was written: its hash does not hold; restore it from a "
            "copy, or begin anew in another folder"
        )
    try:
        return replace(_AMENDMENT.validate_python(tomllib.loads(body.decode())), sha256=sha256)
    except (ValidationError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"amendment {path} was written by another version: {reason[:200]}") from error


def _path(key: str) -> tuple[str, ...]:
    """Return the names of the sections that lead to ``key``, and its own; a cost's may have dots."""
    section, dot, rest = key.partition(".")
    if not dot:
        return (section,)
    if section == "limits":
        return section, rest
    parents = [section]
    for inner, is_there in (("[^.]+", section == "targets"), ("settings", True)):
        found = re.match(rf"({inner})\.", rest) if is_there else None
        if found:
            parents.append(found[1])
            rest = rest[found.end() :]
    return *parents, rest


def _with(values: Mapping[str, JsonValue], path: Sequence[str], value: JsonValue) -> dict[str, JsonValue]:
    """Return ``values`` with another one at ``path``; with none there where it is ``None``."""
    name, *rest = path
    changed = dict(values)
    if rest:
        inner = changed.get(name)
        changed[name] = _with(inner if isinstance(inner, dict) else {}, rest, value)
    elif value is None:
        changed.pop(name, None)
    else:
        changed[name] = value
    return changed
