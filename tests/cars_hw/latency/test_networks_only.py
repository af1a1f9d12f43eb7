"""Tables of whole networks alone: which networks, and what is predicted from them."""

import numpy as np
import pytest

from cars_hw.latency.candidates import network_key
from cars_hw.latency.contents import contents_of
from cars_hw.latency.model import latency_model
from cars_hw.latency.networks_only import chosen_networks, marked, measured_networks
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Graph
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.testing._tabular import TinySpace
from devices import DeviceInfo
from devices.foundation import ConfigError
from latency_tables import LatencyTable, Measurement, MissingEntryError, OpSpec, TableHeader

_SPACE = Nasbench201(deploy="search", channels=4, cells=1, image_size=8)
_HEADER = TableHeader(DeviceInfo("npu", "One", "", "", 0), "vendor", "1", 1, keyed_by="networks")


def _latency_s(spec: OpSpec) -> float:
    """Return what an operation costs on a device that is slow at pooling."""
    c, height, width = spec.input_shape[1:]
    per_pixel = {"relu_conv_bn": c * spec.integer("kernel", 1) ** 2, "avg_pool": 30}.get(spec.kind, 3)
    return 1e-5 + 1e-9 * c * height * width * per_pixel


def _truth_s(graph: Graph) -> float:
    return 2e-4 + sum(map(_latency_s, graph.live.specs()))


def _table(architectures: tuple[Architecture, ...], *, noise: float = 0.01) -> LatencyTable:
    rng, table = np.random.default_rng(0), LatencyTable.in_memory(_HEADER)
    for one in architectures:
        latency_s = _truth_s(_SPACE.deployed(one)) * (1 + noise * float(rng.standard_normal()))
        table.add(marked(Measurement(network_key(_SPACE, one), (latency_s,)), one))
    return table


def test_the_networks_are_distinct_and_connected_and_always_the_same() -> None:
    chosen = chosen_networks(_SPACE, 12)
    assert len(set(chosen)) == 12
    assert all(_SPACE.deployed(one).is_connected for one in chosen)
    again = Nasbench201(deploy="search", channels=4, cells=1, image_size=8)
    assert chosen_networks(again, 12) == chosen


def test_a_table_of_them_predicts_the_networks_of_its_space() -> None:
    table = _table(chosen_networks(_SPACE, 20))
    model, rng = latency_model(_SPACE, table), np.random.default_rng(1)
    judged = [one for one in (_SPACE.sample(rng) for _ in range(80)) if _SPACE.deployed(one).is_connected]
    truth = np.array([_truth_s(_SPACE.deployed(one)) for one in judged])
    predicted = [model.predict(one) for one in judged]
    errors = np.array([found.latency_s for found in predicted]) / truth - 1
    assert np.sqrt(np.mean(errors**2)) < 0.03
    low, high = np.array([found.interval_s for found in predicted]).T
    assert np.mean((low <= truth) & (truth <= high)) > 0.85


def test_networks_that_are_there_are_kept_and_others_chosen_beside_them() -> None:
    rng = np.random.default_rng(2)
    drawn = dict.fromkeys(_SPACE.sample(rng) for _ in range(40))
    others = tuple(one for one in drawn if _SPACE.deployed(one).is_connected)[:6]
    chosen = chosen_networks(_SPACE, 10, others)
    assert chosen[:6] == others
    assert len(set(chosen)) == 10
    first = chosen_networks(_SPACE, 10)
    assert chosen_networks(_SPACE, 10, first[4:7]) == first


def test_a_table_knows_its_networks_by_their_architectures() -> None:
    chosen = chosen_networks(_SPACE, 10)
    table = _table(chosen)
    assert tuple(measured_networks(_SPACE, table)) == chosen
    contents = contents_of(_SPACE, table)
    assert contents.specs == tuple(network_key(_SPACE, one) for one in chosen)
    assert not set(contents.validation(20)) & set(chosen)
    assert len(contents.validation(20)) == 20


def test_networks_of_another_space_are_none_of_its_own() -> None:
    table = _table(chosen_networks(_SPACE, 10))
    wider = Nasbench201(deploy="search", channels=8, cells=1, image_size=8)
    for space in (wider, TinySpace()):
        assert measured_networks(space, table) == {}
        with pytest.raises(MissingEntryError, match="0 are there"):
            latency_model(space, table)


def test_fewer_than_ten_networks_are_refused() -> None:
    with pytest.raises(ConfigError, match="9 networks are too few"):
        chosen_networks(_SPACE, 9)
    with pytest.raises(MissingEntryError, match="9 are there"):
        latency_model(_SPACE, _table(chosen_networks(_SPACE, 10)[:9]))


def test_further_measured_networks_correct_the_predictions() -> None:
    model = latency_model(_SPACE, _table(chosen_networks(_SPACE, 10)))
    further = (3, 3, 0, 3, 0, 3)
    truth = 2 * _truth_s(_SPACE.deployed(further))
    before, after = (
        one.predict(further).latency_s for one in (model, model.with_networks([(further, truth)] * 9))
    )
    assert abs(after - truth) < abs(before - truth)


def test_a_space_of_fewer_networks_than_are_asked_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="has 6 connected networks to choose 10 from"):
        chosen_networks(TinySpace((3, 2), ((0,), (1,))), 10)
