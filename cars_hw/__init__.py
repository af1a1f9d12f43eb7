"""Hardware-aware neural architecture search with measured latency tables.

The public names below are loaded when they are first used: importing this package does not import torch.
"""

from typing import TYPE_CHECKING

from devices.foundation import lazy

if TYPE_CHECKING:
    from cars_hw import data, executors, networks, objectives, spaces, strategies
    from cars_hw.assembly import amended, follow_search, open_search
    from cars_hw.candidate import Candidate, Front
    from cars_hw.config import SearchConfig
    from cars_hw.errors import (
        ArchitectureError,
        CheckpointError,
        DataError,
        InfeasibleError,
        PluginNotAllowedError,
        SelectionError,
        UncountedError,
    )
    from cars_hw.evolution.domination import non_dominated
    from cars_hw.evolution.screening import Screen
    from cars_hw.executors import WorkerLostError
    from cars_hw.judges import ExecutorJudges
    from cars_hw.latency.model import latency_model
    from cars_hw.latency.network_breakdown import NetworkBreakdown
    from cars_hw.latency.networks_only import NetworksPredictor
    from cars_hw.latency.prediction import OperationPredictor, Predictor, UnitPredictor
    from cars_hw.ledger import Ledger
    from cars_hw.networks.architecture import Architecture, from_text, to_text
    from cars_hw.networks.graph import Graph
    from cars_hw.objectives import Error, Latency, Limits, Macs, Objective, Parameters, PeakMemoryBytes
    from cars_hw.results.bench import Bench, bench, bench_architecture, break_down, read_genotype
    from cars_hw.results.exporter import export_network
    from cars_hw.results.exporting.files import Export
    from cars_hw.results.exporting.options import FileOptions
    from cars_hw.results.forecast import profile_forecast, validation_forecast
    from cars_hw.results.measured import final_front, measure_front
    from cars_hw.results.members import export, export_without_search
    from cars_hw.results.networks_only import Imported, import_networks, networks_forecast, profile_networks
    from cars_hw.results.picks import pick
    from cars_hw.results.report import report, report_json
    from cars_hw.results.reporting.comparison import Comparison, compare
    from cars_hw.results.reporting.model import Page
    from cars_hw.results.reporting.reading.pages import page_of
    from cars_hw.results.reporting.retrained import RetrainedMember, retrained_members
    from cars_hw.results.reporting.table_files import write_tables
    from cars_hw.results.tables import front_networks, profile, validate
    from cars_hw.retraining.records import Retrained, read_retrained, retrained_of
    from cars_hw.retraining.retrain import (
        restored_network,
        retrain,
        retrain_without_search,
        retrained_by,
    )
    from cars_hw.runs import Run
    from cars_hw.saving.checkpoint import CheckpointFolder
    from cars_hw.saving.record import Generation
    from cars_hw.search import Schedule, Search
    from cars_hw.searches import Searched, run_searches
    from cars_hw.tabular_trainer import TabularCost, TabularTrainer, known_space, read_figures
    from cars_hw.trainer import Trainer
    from cars_hw.weights.distributed.team import Team, joined_team
    from cars_hw.weights.distributed.trainer import DistributedTrainer, leading
    from cars_hw.weights.retraining_plan import RetrainingPlan
    from cars_hw.weights.supernet_trainer import SuperNetTrainer
    from cars_hw.weights.training_plan import TrainingPlan
    from devices import CarsHwError, DeviceError, DeviceLostError
    from devices.foundation import ConfigError, StorageError, UnknownNameError
    from latency_tables import (
        ChangedConditionsError,
        ChangedSpeedError,
        DamagedFileError,
        LatencyModel,
        LatencyTable,
        MissingEntryError,
        OpSpec,
        SpecError,
        TableError,
        TableMismatchError,
    )
    from profilers import ExportError, ProfilingError, Quality, UnsupportedOperationError

__version__ = "0.1.0"

__all__ = [
    "Architecture",
    "ArchitectureError",
    "Bench",
    "Candidate",
    "CarsHwError",
    "ChangedConditionsError",
    "ChangedSpeedError",
    "CheckpointError",
    "CheckpointFolder",
    "Comparison",
    "ConfigError",
    "DamagedFileError",
    "DataError",
    "DeviceError",
    "DeviceLostError",
    "DistributedTrainer",
    "Error",
    "ExecutorJudges",
    "Export",
    "ExportError",
    "FileOptions",
    "Front",
    "Generation",
    "Graph",
    "Imported",
    "InfeasibleError",
    "Latency",
    "LatencyModel",
    "LatencyTable",
    "Ledger",
    "Limits",
    "Macs",
    "MissingEntryError",
    "NetworkBreakdown",
    "NetworksPredictor",
    "Objective",
    "OpSpec",
    "OperationPredictor",
    "Page",
    "Parameters",
    "PeakMemoryBytes",
    "PluginNotAllowedError",
    "Predictor",
    "ProfilingError",
    "Quality",
    "Retrained",
    "RetrainedMember",
    "RetrainingPlan",
    "Run",
    "Schedule",
    "Screen",
    "Search",
    "SearchConfig",
    "Searched",
    "SelectionError",
    "SpecError",
    "StorageError",
    "SuperNetTrainer",
    "TableError",
    "TableMismatchError",
    "TabularCost",
    "TabularTrainer",
    "Team",
    "Trainer",
    "TrainingPlan",
    "UncountedError",
    "UnitPredictor",
    "UnknownNameError",
    "UnsupportedOperationError",
    "WorkerLostError",
    "amended",
    "bench",
    "bench_architecture",
    "break_down",
    "compare",
    "data",
    "executors",
    "export",
    "export_network",
    "export_without_search",
    "final_front",
    "follow_search",
    "from_text",
    "front_networks",
    "import_networks",
    "joined_team",
    "known_space",
    "latency_model",
    "leading",
    "measure_front",
    "networks",
    "networks_forecast",
    "non_dominated",
    "objectives",
    "open_search",
    "page_of",
    "pick",
    "profile",
    "profile_forecast",
    "profile_networks",
    "read_figures",
    "read_genotype",
    "read_retrained",
    "report",
    "report_json",
    "restored_network",
    "retrain",
    "retrain_without_search",
    "retrained_by",
    "retrained_members",
    "retrained_of",
    "run_searches",
    "spaces",
    "strategies",
    "to_text",
    "validate",
    "validation_forecast",
    "write_tables",
]

_HOMES = {
    "Architecture": "cars_hw.networks.architecture",
    "ArchitectureError": "cars_hw.errors",
    "Bench": "cars_hw.results.bench",
    "Candidate": "cars_hw.candidate",
    "CarsHwError": "devices",
    "ChangedConditionsError": "latency_tables",
    "ChangedSpeedError": "latency_tables",
    "CheckpointError": "cars_hw.errors",
    "CheckpointFolder": "cars_hw.saving.checkpoint",
    "Comparison": "cars_hw.results.reporting.comparison",
    "ConfigError": "devices.foundation",
    "DamagedFileError": "latency_tables",
    "DataError": "cars_hw.errors",
    "DeviceError": "devices",
    "DeviceLostError": "devices",
    "DistributedTrainer": "cars_hw.weights.distributed.trainer",
    "Error": "cars_hw.objectives",
    "ExecutorJudges": "cars_hw.judges",
    "Export": "cars_hw.results.exporting.files",
    "ExportError": "profilers",
    "FileOptions": "cars_hw.results.exporting.options",
    "Front": "cars_hw.candidate",
    "Generation": "cars_hw.saving.record",
    "Graph": "cars_hw.networks.graph",
    "Imported": "cars_hw.results.networks_only",
    "InfeasibleError": "cars_hw.errors",
    "Latency": "cars_hw.objectives",
    "LatencyModel": "latency_tables",
    "LatencyTable": "latency_tables",
    "Ledger": "cars_hw.ledger",
    "Limits": "cars_hw.objectives",
    "Macs": "cars_hw.objectives",
    "MissingEntryError": "latency_tables",
    "NetworkBreakdown": "cars_hw.latency.network_breakdown",
    "NetworksPredictor": "cars_hw.latency.networks_only",
    "Objective": "cars_hw.objectives",
    "OpSpec": "latency_tables",
    "OperationPredictor": "cars_hw.latency.prediction",
    "Page": "cars_hw.results.reporting.model",
    "Parameters": "cars_hw.objectives",
    "PeakMemoryBytes": "cars_hw.objectives",
    "PluginNotAllowedError": "cars_hw.errors",
    "Predictor": "cars_hw.latency.prediction",
    "ProfilingError": "profilers",
    "Quality": "profilers",
    "Retrained": "cars_hw.retraining.records",
    "RetrainedMember": "cars_hw.results.reporting.retrained",
    "RetrainingPlan": "cars_hw.weights.retraining_plan",
    "Run": "cars_hw.runs",
    "Schedule": "cars_hw.search",
    "Screen": "cars_hw.evolution.screening",
    "Search": "cars_hw.search",
    "Searched": "cars_hw.searches",
    "SearchConfig": "cars_hw.config",
    "SelectionError": "cars_hw.errors",
    "SpecError": "latency_tables",
    "StorageError": "devices.foundation",
    "SuperNetTrainer": "cars_hw.weights.supernet_trainer",
    "TableError": "latency_tables",
    "TableMismatchError": "latency_tables",
    "TabularCost": "cars_hw.tabular_trainer",
    "TabularTrainer": "cars_hw.tabular_trainer",
    "Team": "cars_hw.weights.distributed.team",
    "Trainer": "cars_hw.trainer",
    "TrainingPlan": "cars_hw.weights.training_plan",
    "UncountedError": "cars_hw.errors",
    "UnitPredictor": "cars_hw.latency.prediction",
    "UnknownNameError": "devices.foundation",
    "UnsupportedOperationError": "profilers",
    "WorkerLostError": "cars_hw.executors",
    "amended": "cars_hw.assembly",
    "bench": "cars_hw.results.bench",
    "bench_architecture": "cars_hw.results.bench",
    "break_down": "cars_hw.results.bench",
    "compare": "cars_hw.results.reporting.comparison",
    "data": "cars_hw.data",
    "executors": "cars_hw.executors",
    "export": "cars_hw.results.members",
    "export_network": "cars_hw.results.exporter",
    "export_without_search": "cars_hw.results.members",
    "final_front": "cars_hw.results.measured",
    "follow_search": "cars_hw.assembly",
    "from_text": "cars_hw.networks.architecture",
    "front_networks": "cars_hw.results.tables",
    "import_networks": "cars_hw.results.networks_only",
    "joined_team": "cars_hw.weights.distributed.team",
    "latency_model": "cars_hw.latency.model",
    "leading": "cars_hw.weights.distributed.trainer",
    "measure_front": "cars_hw.results.measured",
    "networks": "cars_hw.networks",
    "networks_forecast": "cars_hw.results.networks_only",
    "non_dominated": "cars_hw.evolution.domination",
    "objectives": "cars_hw.objectives",
    "open_search": "cars_hw.assembly",
    "page_of": "cars_hw.results.reporting.reading.pages",
    "pick": "cars_hw.results.picks",
    "profile": "cars_hw.results.tables",
    "known_space": "cars_hw.tabular_trainer",
    "profile_forecast": "cars_hw.results.forecast",
    "profile_networks": "cars_hw.results.networks_only",
    "read_figures": "cars_hw.tabular_trainer",
    "read_genotype": "cars_hw.results.bench",
    "read_retrained": "cars_hw.retraining.records",
    "report": "cars_hw.results.report",
    "report_json": "cars_hw.results.report",
    "restored_network": "cars_hw.retraining.retrain",
    "retrain": "cars_hw.retraining.retrain",
    "retrain_without_search": "cars_hw.retraining.retrain",
    "retrained_by": "cars_hw.retraining.retrain",
    "retrained_members": "cars_hw.results.reporting.retrained",
    "retrained_of": "cars_hw.retraining.records",
    "run_searches": "cars_hw.searches",
    "spaces": "cars_hw.spaces",
    "strategies": "cars_hw.strategies",
    "to_text": "cars_hw.networks.architecture",
    "validate": "cars_hw.results.tables",
    "validation_forecast": "cars_hw.results.forecast",
    "write_tables": "cars_hw.results.reporting.table_files",
}

__getattr__, __dir__ = lazy(__name__, _HOMES)
