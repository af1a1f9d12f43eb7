"""Executors: what runs tasks, one file each: in this process, in processes, on a Ray cluster."""

from cars_hw.executors._executor import Executor, Place, Shared, Task, TaskError, WorkerLostError
from devices.foundation import load_plugin, plugin_names

__all__ = ["Executor", "Place", "Shared", "Task", "TaskError", "WorkerLostError", "load", "names"]


def load(name: str, workers: int | None = None) -> Executor:
    """Return the executor ``name``; ``ray://HOST:PORT`` is ``ray`` at that address.

    Nothing is started, and no cluster reached, before there is a task.

    Raises:
        UnknownNameError: There is no such executor.
        ConfigError: ``workers`` is no number from 1 to 1024.
    """
    scheme, is_url, _ = name.partition("://")
    plugin, address = (scheme, name) if is_url else (name, "")
    return load_plugin("cars_hw.executors", plugin, Executor, what="executor")(workers, address)


def names() -> tuple[str, ...]:
    """List the executors of this project."""
    return plugin_names("cars_hw.executors")
