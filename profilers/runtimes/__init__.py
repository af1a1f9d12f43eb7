"""Software that executes networks: one file per runtime."""

from devices._plugins import load_plugin, plugin_names
from profilers.runtimes._runtime import Runtime


def load(name: str, threads: int = 1) -> Runtime:
    """Return the runtime ``name``, whose calls use ``threads`` threads.

    Raises:
        UnknownNameError: No such runtime.
    """
    return load_plugin("profilers.runtimes", name, Runtime)(threads)


def names() -> tuple[str, ...]:
    """List the runtimes of this project."""
    return plugin_names("profilers.runtimes")
