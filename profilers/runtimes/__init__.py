"""Software that executes networks: one file per runtime."""

from devices.foundation import load_plugin, plugin_names, settings_type
from profilers.runtimes._runtime import LoweredModel, OperatorTime, Runtime, Sampler, UnitCounter, Workload

__all__ = ["LoweredModel", "OperatorTime", "Runtime", "Sampler", "UnitCounter", "Workload", "load", "names"]


def load(name: str, /, threads: int = 1, **settings: object) -> Runtime:
    """Return the runtime ``name``, whose calls use ``threads`` threads, with its ``settings``.

    Raises:
        UnknownNameError: No such runtime, or a setting that it does not take.
        ConfigError: A value that it does not take.
    """
    runtime = load_plugin("profilers.runtimes", name, Runtime, what="runtime")
    # First: other keywords of a constructor, for whoever makes a runtime in Python, are no settings.
    settings_type(runtime).checked(name, settings)
    return runtime(threads, **settings)


def names() -> tuple[str, ...]:
    """List the runtimes of this project."""
    return plugin_names("profilers.runtimes")
