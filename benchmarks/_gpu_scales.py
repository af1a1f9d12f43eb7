"""How large the stages of ``gpu.py`` are: on a card, and in a dry run. No torch, so that tests are quick."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cars_hw import Quality, SearchConfig

#: Of single images, by which the search is made; and of many at once, which keep a card busy.
TABLE, BATCHED = "table", "batched"

IMAGES = "benchmarks._gpu_images"
_PAPER = Path(__file__).parents[1] / "configs" / "cars-cifar10.toml"


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        torch_device: Where weights are trained.
        device: What latency is measured on.
        tables: Settings of the runtime ``torch``, by the names of tables.
        space: Settings of the space ``darts``.
        quality: Of latencies.
        networks: Whole networks that validate the table.
        images: Of the search, 1 in 4 of them for fitness.
        batch_size: Of its steps.
        population: Of its strategy.
        generations: After warm-up.
        members: Architectures whose steps are timed.
        passes: How often each is trained, more than ``NEW_PASSES``.
        evaluated: Of them, how many are evaluated.
        variants: How weights are trained, by name: keys of ``training``. What never ran stands last: what
            fails costs those that follow.
        in_paper: Which of these are timed at the paper's scale.
        paper: What is changed of the configuration there.
    """

    torch_device: str
    device: str
    tables: Mapping[str, Mapping[str, Any]]
    space: Mapping[str, Any]
    quality: Quality
    networks: int
    images: int
    batch_size: int
    population: int
    generations: int
    members: int
    passes: int
    evaluated: int
    variants: Mapping[str, Mapping[str, Any]]
    in_paper: Sequence[str]
    paper: Mapping[str, Any] = field(default_factory=dict)

    def config(self, folder: Path, table: str = TABLE, **changes: Mapping[str, Any]) -> SearchConfig:
        """Return the configuration of the small search.

        Args:
            folder: Of the tables.
            table: The name of one.
            changes: Of sections, by their names.
        """
        sections: dict[str, Any] = {
            "space": {"name": "darts", **self.space},
            "strategy": {"name": "cars", "population_size": self.population},
            "data": {"name": IMAGES, "images": self.images, "fitness_images": self.images // 4},
            "training": {"batch_size": self.batch_size},
            "search": {
                "warm_up_epochs": 2,
                "epochs_per_generation": 2,
                "generations": self.generations,
                "torch_device": self.torch_device,
            },
            "latency": {
                "table": str(folder / f"{table}.jsonl"),
                "device": self.device,
                "runtime": "torch",
                "settings": dict(self.tables[table]),
            },
        }
        for name, values in changes.items():
            sections[name] = {**sections[name], **values}
        return SearchConfig.of(sections)

    def paper_config(self, variant: str) -> SearchConfig:
        """Return the configuration of CARS' paper on generated images, with weights trained that way."""
        changes: dict[str, Any] = {
            "data": {"name": IMAGES, "fitness_images": 25_000},
            "search.torch_device": self.torch_device,
            **{f"training.{name}": value for name, value in self.variants[variant].items()},
        }
        return SearchConfig.load(_PAPER, {**changes, **self.paper})


CARD = Scale(
    torch_device="cuda",
    device="gpu:nvidia:0",
    tables={TABLE: {}, BATCHED: {"batch": 32}},
    space={"deploy": "cifar"},
    quality=Quality(precision=0.03, spread_s=3.0, keep_every_s=2.0),
    networks=8,
    images=4000,
    batch_size=128,
    population=12,
    generations=3,
    members=12,
    passes=6,
    evaluated=4,
    variants={
        "float32": {},
        "tf32": {"precision": "tf32"},
        "bfloat16": {"precision": "bfloat16"},
        "bfloat16_contiguous": {"precision": "bfloat16", "layout": "contiguous"},
        "float16": {"precision": "float16"},
        "bfloat16_graphs": {"precision": "bfloat16", "cuda_graphs": 128},
    },
    in_paper=("float32", "bfloat16", "bfloat16_graphs"),
)
#: That everything runs, in a minute of a processor.
DRY = Scale(
    torch_device="cpu",
    device="cpu",
    tables={TABLE: {}, BATCHED: {"batch": 2}},
    space={"deploy": "search", "channels": 4, "cells": 3, "image_size": 32},
    quality=Quality(precision=0.5, spread_s=0.0, keep_every_s=2.0, processes=0),
    networks=3,
    images=200,
    batch_size=16,
    population=4,
    generations=1,
    members=2,
    passes=4,
    evaluated=1,
    variants={"float32": {}, "bfloat16_graphs": {"precision": "bfloat16", "cuda_graphs": 128}},
    in_paper=("float32",),
    paper={
        "space.channels": 4,
        "space.cells": 3,
        "data.images": 400,
        "data.fitness_images": 100,
        "training.batch_size": 16,
        "search.torch_device": "cpu",
    },
)
