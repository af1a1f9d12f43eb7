"""The networks that are shipped as files: those that were published, by their parameters and MACs."""

from pathlib import Path

import pytest

from cars_hw import spaces
from cars_hw.results.bench import read_genotype

_CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(
    ("name", "family", "parameters", "millions_of_macs"),
    [("mnasnet-a1", "mnasnet", 3_887_038, 312), ("mobilenetv3-large", "mobilenet_v3", 5_483_032, 217)],
)
def test_a_network_in_a_file_is_the_published_one(
    name: str, family: str, parameters: int, millions_of_macs: int
) -> None:
    space = spaces.load("mobilenet", family=family)
    graph = space.graph(read_genotype(space, _CONFIGS / f"{name}.json"), "deploy")
    assert graph.parameters() == parameters
    assert round(graph.macs() / 1e6) == millions_of_macs
