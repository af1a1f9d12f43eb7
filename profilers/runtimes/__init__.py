"""Software that executes networks: one file per runtime."""

from devices.foundation import ConfigError, check_settings, load_plugin, plugin_names
from latency_tables import Setting
from profilers.runtimes._runtime import Runtime, Sampler, Workload

__all__ = ["Runtime", "Sampler", "Workload", "load", "names"]


def load(name: str, threads: int = 1, **settings: Setting) -> Runtime:
    """Return the runtime ``name``, whose calls use ``threads`` threads, with its ``settings``.

    Raises:
        UnknownNameError: No such runtime, or a setting that it does not take.
        ConfigError: A value that it does not take.
    """
    runtime = load_plugin("profilers.runtimes", name, Runtime, what="runtime")
    check_settings(runtime, settings)
    try:
        return runtime(threads, **settings)
    except TypeError as error:
        raise ConfigError(f"runtime {name}: {error}") from error


def names() -> tuple[str, ...]:
    """List the runtimes of this project."""
    return plugin_names("profilers.runtimes")
