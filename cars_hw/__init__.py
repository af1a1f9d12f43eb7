"""Hardware-aware neural architecture search with measured latency tables.

The public names below are loaded when they are first used: importing this package does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cars_hw import data, spaces, strategies
    from cars_hw.checkpoint import CheckpointFolder
    from cars_hw.objectives import Error, Latency, Macs, Parameters
    from cars_hw.record import Generation
    from cars_hw.search import Schedule, Search
    from cars_hw.tabular_trainer import TabularTrainer
    from cars_hw.training_plan import TrainingPlan
    from cars_hw.weights.supernet_trainer import SuperNetTrainer
    from latency_tables import LatencyTable

__version__ = "0.1.0"
__all__ = [
    "CheckpointFolder",
    "Error",
    "Generation",
    "Latency",
    "LatencyTable",
    "Macs",
    "Parameters",
    "Schedule",
    "Search",
    "SuperNetTrainer",
    "TabularTrainer",
    "TrainingPlan",
    "data",
    "spaces",
    "strategies",
]

_MODULES = ("data", "spaces", "strategies")
_HOMES = {
    "CheckpointFolder": "cars_hw.checkpoint",
    "Error": "cars_hw.objectives",
    "Generation": "cars_hw.record",
    "Latency": "cars_hw.objectives",
    "LatencyTable": "latency_tables.table",
    "Macs": "cars_hw.objectives",
    "Parameters": "cars_hw.objectives",
    "Schedule": "cars_hw.search",
    "Search": "cars_hw.search",
    "SuperNetTrainer": "cars_hw.weights.supernet_trainer",
    "TabularTrainer": "cars_hw.tabular_trainer",
    "TrainingPlan": "cars_hw.training_plan",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"cars_hw.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'cars_hw' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
