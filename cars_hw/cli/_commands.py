"""Commands that messages name, complete and quoted: only the command line knows its verbs."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import tomli_w
from pydantic import JsonValue

from cars_hw.config import LatencySection, SearchConfig, parse_override
from cars_hw.errors import InfeasibleError, PluginNotAllowedError
from devices.foundation import CarsHwError
from latency_tables import MissingEntryError, TableMismatchError

if TYPE_CHECKING:
    from cars_hw.results.run_warnings import RunWarning


def profile_command(config: SearchConfig, target: LatencySection | None = None) -> str:
    """Return the command that measures what the table of ``target`` lacks; of the only one if not given."""
    return _table_command(config, target, "profile")


def validate_command(config: SearchConfig, target: LatencySection | None = None) -> str:
    """Return the command that holds the table of ``target`` against whole networks."""
    return _table_command(config, target, "table", "validate")


def next_commands(*commands: tuple[str, ...]) -> str:
    """Return the line that names what to do next."""
    return "next: " + "; ".join(shlex.join(["cars-hw", *command]) for command in commands)


def trust_lines(config: SearchConfig) -> list[str]:
    """Return how far the tables of a search may be trusted, each with the command that helps, if any."""
    from cars_hw.assembly import table_trusts

    targets = config.latency_targets()
    return [
        f"{trust}" if trust.is_validated else f"{trust}; run `{validate_command(config, targets[name])}`"
        for name, trust in table_trusts(config).items()
    ] or ["no latency table was used"]


def warning_lines(warnings: "Iterable[RunWarning]") -> list[str]:
    """Return the warnings of a run but those that ``trust_lines`` has, with its commands."""
    return [str(found) for found in warnings if found.kind != "table"]


@contextmanager
def remedies(config: SearchConfig) -> Iterator[None]:
    """Add to an error the command that helps.

    Args:
        config: What the verb goes by.
    """
    try:
        yield
    except MissingEntryError as error:
        target = next((t for t in config.latency_targets().values() if t.table == error.table), None)
        command = profile_command(config, target)
        raise MissingEntryError(error.spec, reason=error.reason, table=error.table, remedy=command) from error


def explained(error: CarsHwError) -> str:
    """Return an error's line with the option that helps, where one does whatever the verb."""
    if isinstance(error, PluginNotAllowedError):
        return f"{error}: --allow-plugin {shlex.quote(error.name)}"
    if isinstance(error, TableMismatchError) and error.words:
        return f"{error}: --allow-changed {','.join(error.words)}"
    if isinstance(error, InfeasibleError):
        return f"{error}: --allow-infeasible"
    return str(error)


def _table_command(config: SearchConfig, target: LatencySection | None, *verb: str) -> str:
    latency = target or next(iter(config.latency_targets().values()))
    space = config.space
    kinds: list[JsonValue] = [*space.operation_kinds]
    options = [
        *_overrides("space", {"operation_kinds": kinds or None, **space.settings}),
        f"--device={latency.device}",
        f"--runtime={latency.runtime}",
        f"--threads={latency.threads}",
        *_overrides("latency.settings", latency.settings),
    ]
    conditions = [word for word in latency.allow_changed if word != "device"]  # one measures on its own table
    options += [f"--allow-changed={','.join(conditions)}"] if conditions else []
    return shlex.join(["cars-hw", *verb, f"--space={space.name}", *options, f"--table={latency.table}"])


def _overrides(section: str, values: Mapping[str, JsonValue]) -> list[str]:
    """Return a ``--set`` for each of ``values`` that is not ``None``, as ``parse_override`` reads it."""
    return [f"--set={section}.{name}={_text(value)}" for name, value in values.items() if value is not None]


def _text(value: JsonValue) -> str:
    if isinstance(value, str) and parse_override(f"key={value}")[1] == value:
        return value
    return tomli_w.dumps({"key": value}, multiline_strings=False).strip().removeprefix("key = ")
