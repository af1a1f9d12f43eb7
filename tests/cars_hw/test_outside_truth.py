"""A space and accuracies that we do not ship, in one file from outside: that of docs/tabular.md."""

import importlib
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cars_hw import spaces, strategies
from cars_hw.errors import DataError
from cars_hw.evolution import domination
from cars_hw.networks.architecture import to_text

_PAGE = Path(__file__).parents[2] / "docs" / "tabular.md"


def accuracy(architecture: tuple[int, ...]) -> float:
    """Percent after 200 epochs; it grows with the kernels, and prefers the later ones."""
    return 50.0 + 5.0 * architecture[0] + 6.0 * architecture[1] + 7.0 * architecture[2]


@pytest.fixture
def chains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    [code] = re.findall(r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "chains.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("my_lab.chains")
    for name in ("my_lab.chains", "my_lab"):
        sys.modules.pop(name, None)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        f"{to_text(architecture)},{0.7 * accuracy(architecture)},{accuracy(architecture)}"
        for architecture in itertools.product(range(3), repeat=3)
    ]
    path = tmp_path / "accuracies.csv"
    path.write_text("\n".join(["architecture,after_12,after_200", *rows]) + "\n")
    return path


@pytest.mark.parametrize("strategy", strategies.names())
def test_every_strategy_searches_it_and_finds_what_is_not_dominated(
    strategy: str, chains: ModuleType, table: Path
) -> None:
    last = chains.search(table, strategy)
    assert last.objectives == ("error", "parameters")
    for member in last.front:
        share = accuracy(member.architecture) / 100
        assert 1.0 - share - 1e-9 <= member.costs[0] <= 1.0 - 0.7 * share + 1e-9  # NSE starts anew each round
        assert member.costs[1] == chains.Chains().graph(member.architecture).parameters()


def test_cars_finds_the_true_front(chains: ModuleType, table: Path) -> None:
    space = chains.Chains()
    everything = list(itertools.product(range(3), repeat=3))
    costs = np.array([[1.0 - accuracy(a) / 100, space.graph(a).parameters()] for a in everything])
    front = {everything[i] for i in domination.fronts(costs)[0]}
    found = {member.architecture for member in chains.search(table).front}
    assert len(front & found) >= len(front) - 1
    assert found <= front


def test_it_is_loaded_by_its_module_like_any_space(chains: ModuleType) -> None:
    assert isinstance(spaces.load("my_lab.chains"), chains.Chains)


def test_the_two_rows_of_the_page_are_a_search_of_two_networks(chains: ModuleType, table: Path) -> None:
    [rows] = re.findall(r"```csv\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    table.write_text(rows)
    for strategy in strategies.names():
        last = chains.search(table, strategy)
        assert {member.architecture for member in last.population} <= {(0, 0, 0), (0, 0, 1)}
    assert [member.costs[0] for member in chains.search(table).front] == pytest.approx([0.335, 0.38])


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ("0.0.0,40,50\n0.1.1,40,50\n", r"lacks 0\.0\.1; its 2 rows have options of 4 architectures"),
        ("", "has no row"),
    ],
)
def test_a_table_that_lacks_an_architecture_is_refused_before_the_search(
    rows: str, text: str, chains: ModuleType, table: Path
) -> None:
    table.write_text(f"architecture,after_12,after_200\n{rows}")
    with pytest.raises(DataError, match=text):
        chains.search(table)
