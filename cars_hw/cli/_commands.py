"""Commands that messages name, complete and quoted: only the command line knows its verbs."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import JsonValue

from cars_hw.config import LatencySection, SearchConfig
from cars_hw.errors import PluginNotAllowedError
from devices.foundation import CarsHwError
from latency_tables import MissingEntryError


def profile_command(config: SearchConfig, target: LatencySection | None = None) -> str:
    """Return the command that measures what the table of ``target`` lacks; of the only one if not given."""
    return _table_command(config, target, "profile")


def validate_command(config: SearchConfig, target: LatencySection | None = None) -> str:
    """Return the command that holds the table of ``target`` against whole networks."""
    return _table_command(config, target, "table", "validate")


def next_commands(*commands: tuple[str, ...]) -> str:
    """Return the line that names what to do next."""
    return "next: " + "; ".join(shlex.join(["cars-hw", *command]) for command in commands)


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
    return str(error)


def _table_command(config: SearchConfig, target: LatencySection | None, *verb: str) -> str:
    latency = target or config.for_target().latency
    options = [f"--set=space.{name}={_toml(value)}" for name, value in config.space.settings.items()]
    options += [
        f"--device={latency.device}",
        f"--runtime={latency.runtime}",
        f"--threads={latency.threads}",
        *(f"--set=latency.settings.{name}={_toml(value)}" for name, value in latency.settings.items()),
    ]
    return shlex.join(
        ["cars-hw", *verb, f"--space={config.space.name}", *options, f"--table={latency.table}"]
    )


def _toml(value: JsonValue) -> str:
    """Return a setting as ``--set`` reads it: booleans are lower case in TOML."""
    return str(value).lower() if isinstance(value, bool) else str(value)
