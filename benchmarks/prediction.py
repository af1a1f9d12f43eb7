"""How well a table of single operations predicts whole networks, both measured now on this machine.

Peer: the constant predictor (each network as the mean of the others), from the same run. Floor: the two
halves of the networks' own samples held against each other.
"""

import argparse
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from _rows import Row, finish, parse_options
from numpy.typing import NDArray

import devices
from cars_hw import spaces
from cars_hw.assembly import make_space
from cars_hw.config import SearchConfig
from cars_hw.latency.contents import TableContents
from cars_hw.latency.model import latency_model
from cars_hw.spaces._space import SearchSpace
from latency_tables import (
    LatencyModel,
    LatencyTable,
    Measurement,
    PredictionErrorReport,
    halves_s,
    prediction_error_report,
)
from profilers import MeasurementPlan, Profiler, runtimes

Floats = NDArray[np.float64]

_NETWORKS = 20
_RESAMPLES = 1000
#: With a floor above half of the goal, noise decides.
_NOISY_FLOOR_PERCENT = 12.5
#: With two halves of one network's samples in worse agreement than this, a missed order says nothing.
_NOISY_TAU = 0.9
_TAU_GOAL = 0.7

_LARGER: dict[str, int | str] = {"deploy": "search", "channels": 16, "cells": 8, "image_size": 32}


@dataclass(frozen=True)
class Seen:
    """Networks predicted and measured, seconds.

    Attributes:
        predicted_s: By the calibrated model, (n,).
        plain_s: By the plain sum of the operations, the call overhead taken out, (n,).
        measured_s: (n,).
        halves_s: Measured, from odd and from even samples, (2, n).
    """

    predicted_s: Floats
    plain_s: Floats
    measured_s: Floats
    halves_s: Floats


def observe(space: SearchSpace, folder: Path, plan: MeasurementPlan) -> Seen:
    """Measure a table of ``space``, then random networks of it."""
    rng = np.random.default_rng(0)
    architectures = [space.sample(rng) for _ in range(_NETWORKS)]
    with devices.connect("cpu") as device:
        profiler = Profiler(device, runtimes.load("onnxruntime"), plan)
        with LatencyTable.open_for_writing(folder / "table.jsonl", profiler.header()) as table:
            list(profiler.fill(table, TableContents(space).workloads()))
            predictor, plain_sum = latency_model(space, table), LatencyModel(table)
        contents = TableContents(space)
        entries = profiler.measure([contents.network(architecture) for architecture in architectures])
    measured = [entry for entry in entries if isinstance(entry, Measurement)]
    predicted = [predictor.predict(architecture).latency_s for architecture in architectures]
    plain = [
        plain_sum.predict(space.deployed(architecture).executed(plain_sum.executes).specs()).latency_s
        for architecture in architectures
    ]
    return Seen(
        np.array(predicted),
        np.array(plain),
        np.array([entry.latency_s for entry in measured]),
        np.array(halves_s(measured)),
    )


def compare(predicted_s: Floats, measured_s: Floats) -> PredictionErrorReport:
    """Hold predictions against measurements."""
    return prediction_error_report(predicted_s.tolist(), measured_s.tolist())


def rows(name: str, seen: Seen) -> list[Row]:
    """Return the claims for one space."""
    report = compare(seen.predicted_s, seen.measured_s)
    plain = compare(seen.plain_s, seen.measured_s)
    floor = compare(*seen.halves_s)
    taus, medians = _bootstrap(seen)
    n, peer = report.n, "constant predictor"

    def claim(what: str) -> str:
        return f"prediction.{name}.{what}"

    return [
        Row(claim("kendall_tau"), report.kendall_tau, "", f">= {_TAU_GOAL}", taus, floor.kendall_tau, n=n),
        Row(
            claim("median_difference"),
            report.median_difference_percent,
            "%",
            "<= 25",
            medians,
            floor.median_difference_percent,
            report.constant_median_difference_percent,
            peer,
            n,
        ),
        Row(
            claim("rmspe_over_constant"),
            report.rmspe_percent / report.constant_rmspe_percent,
            "",
            "< 1",
            None,
            floor.rmspe_percent / report.constant_rmspe_percent,
            1.0,
            peer,
            n,
        ),
        Row(
            claim("rmspe"),
            report.rmspe_percent,
            "%",
            floor=floor.rmspe_percent,
            peer=report.constant_rmspe_percent,
            peer_name=peer,
            n=n,
        ),
        Row(claim("within_5"), report.within_5_percent, "%", floor=floor.within_5_percent, n=n),
        Row(claim("plain_sum.median_difference"), plain.median_difference_percent, "%", n=n),
        Row(claim("plain_sum.kendall_tau"), plain.kendall_tau, n=n),
    ]


def _bootstrap(seen: Seen) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return 95 % intervals of tau and of the median difference over resampled networks."""
    rng = np.random.default_rng(0)
    reports = []
    for _ in range(_RESAMPLES):
        chosen = rng.integers(_NETWORKS, size=_NETWORKS)
        reports.append(compare(seen.predicted_s[chosen], seen.measured_s[chosen]))
    taus = np.nanquantile([report.kendall_tau for report in reports], [0.025, 0.975])
    medians = np.quantile([report.median_difference_percent for report in reports], [0.025, 0.975])
    return (float(taus[0]), float(taus[1])), (float(medians[0]), float(medians[1]))


def _is_noisy(seen: Seen) -> bool:
    """Tell whether noise decides: the halves differ too much, or a missed order is no worse than theirs."""
    floor, report = compare(*seen.halves_s), compare(seen.predicted_s, seen.measured_s)
    misses_order = report.kendall_tau < _TAU_GOAL and floor.kendall_tau < _NOISY_TAU
    return misses_order or floor.median_difference_percent > _NOISY_FLOOR_PERCENT


def main(options: argparse.Namespace) -> None:
    """Measure the small space, and the larger one too unless ``--quick``."""
    found: list[Row] = []
    plan = MeasurementPlan(spread_s=5.0) if options.quick else MeasurementPlan()
    is_noisy = False
    with resources.as_file(resources.files("cars_hw.cli") / "demo.toml") as path:
        measured = {"demo": make_space(SearchConfig.load(path))}
    if not options.quick:
        measured["darts_c16_l8"] = spaces.load("darts", **_LARGER)
    for name, space in measured.items():
        with tempfile.TemporaryDirectory() as folder:
            seen = observe(space, Path(folder), plan)
        is_noisy |= _is_noisy(seen)
        found += rows(name, seen)
    finish(found, options, is_noisy=is_noisy)


if __name__ == "__main__":
    main(parse_options(__doc__ or ""))
