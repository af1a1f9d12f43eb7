"""Changes: the keys of which a run may go on with another value, each with what speaks against it."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import JsonValue

from cars_hw import strategies
from cars_hw.config import SearchConfig
from cars_hw.errors import CheckpointError
from cars_hw.runs.amendments import Change

#: Says what speaks against going on with ``after`` where it was ``before``; empty where nothing does.
_Objection = Callable[[JsonValue, JsonValue], str]


def _none(before: JsonValue, after: JsonValue) -> str:
    return ""


def _smaller(before: JsonValue, after: JsonValue) -> str:
    is_larger = isinstance(before, int) and isinstance(after, int) and after > before
    return "" if is_larger else "it can be made larger alone"


def _another_kind(before: JsonValue, after: JsonValue) -> str:
    kinds = [str(device).partition(":")[0] for device in (before, after)]
    return "" if kinds[0] == kinds[1] else "it can have another address, but is of the same kind"


#: What may change of a target.
_OF_TARGETS: Mapping[str, _Objection] = {
    "device": _another_kind,
    "table": _none,
    "max_latency_ms": _none,
    "limit_level": _none,
    "allow_changed": _none,
}

#: By section, the keys that may change; what is not here may not. Whether tables and images are what they
#: have to be is another matter, which ``cars_hw.amended`` sees to.
_CHANGEABLE: Mapping[str, Mapping[str, _Objection]] = {
    "search": {"generations": _smaller, "checkpoint_every_s": _none, "torch_device": _none},
    "data": {"path": _none},
    "latency": _OF_TARGETS,
    "targets": _OF_TARGETS,
}

#: Decides nothing of a search: all of it may change, come and go.
_RETRAINING = "retraining"

#: A setting of a runtime that says where a program lies here, which is no condition of a measurement.
_BINARY = re.compile(r"settings\.\w+_binary")


def changes_between(before: SearchConfig, after: SearchConfig, *, where: Path) -> tuple[Change, ...]:
    """Return what ``after`` changes, where a run may go on so.

    Args:
        before: The configuration of the run, resolved.
        after: The one that is asked for, resolved.
        where: The run's folder, for messages.

    Raises:
        CheckpointError: A key may not change, or not to that value; the message names it and both values.
    """
    mine, other = flat(before.model_dump(mode="json")), flat(after.model_dump(mode="json"))
    if before.retraining is None or after.retraining is None:  # a section that comes or goes, as a whole
        mine, other = _with_section(mine, before), _with_section(other, after)
    changes = tuple(
        Change(key, mine.get(key), other.get(key)) for key in mine | other if mine.get(key) != other.get(key)
    )
    for change in changes:
        objection = _objection(change, before.strategy.name)
        if objection is not None:
            raise refusal(change, where, objection)
    return changes


def refusal(change: Change, where: Path, objection: str = "") -> CheckpointError:
    """Return the error for a run that cannot go on so: it names the key, both values, and the objection."""
    why = f": {objection}" if objection else ""
    return CheckpointError(
        f"{where} holds a run with another configuration: {change.key} = {change.before!r:.80}, and "
        f"{change.after!r:.80} is asked for{why}; name another folder, or delete this one"
    )


def is_limit(key: str) -> bool:
    """Tell whether a dotted key of the configuration says what is within a limit."""
    return key.startswith("limits.") or key.endswith((".max_latency_ms", ".limit_level"))


def flat(values: Mapping[str, JsonValue], prefix: str = "") -> dict[str, JsonValue]:
    """Return nested values by dotted keys."""
    found: dict[str, JsonValue] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def _with_section(values: Mapping[str, JsonValue], config: SearchConfig) -> dict[str, JsonValue]:
    """Return flat values of ``config`` with those of its retraining under one key."""
    others = {key: value for key, value in values.items() if key.partition(".")[0] != _RETRAINING}
    return {**others, _RETRAINING: None if config.retraining is None else config.retraining.values()}


def _objection(change: Change, strategy: str) -> str | None:
    """Return what speaks against ``change``; ``None`` where nothing does."""
    section, _, name = change.key.partition(".")
    if section == "targets":
        name = name.partition(".")[2]
    if section in ("limits", _RETRAINING) or (section in ("latency", "targets") and _BINARY.fullmatch(name)):
        return None
    if change.key == "search.generations" and strategies.find(strategy).plans_by_rounds:
        return f"{strategy} plans by the number of generations from the first on, so that none can be added"
    objection = _CHANGEABLE.get(section, {}).get(name)
    return "" if objection is None else objection(change.before, change.after) or None
