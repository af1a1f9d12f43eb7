"""The space of NAS-Bench-201 against the benchmark's own figures."""

import csv
import math
import os
import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue
from torch.nn import functional

from cars_hw.errors import ArchitectureError
from cars_hw.networks import operations
from cars_hw.networks.graph import Graph
from cars_hw.spaces._stacked201 import EDGES, OPERATIONS
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.weights.network import Network
from cars_hw.weights.supernet import SuperNet
from devices.foundation.errors import ConfigError, UnknownNameError
from profilers.lowering.onnx import lower

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("CARS_HW_DATA", ROOT / "../shared/data"))
TABLE = DATA / "nb201/nb201_accuracy_cost.csv"
SPACE = Nasbench201()
SMALL = Nasbench201(deploy="search", channels=4, cells=1, image_size=8)
MEMBERS = st.tuples(*(st.integers(0, n - 1) for n in SPACE.choices))
PUBLISHED = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"

needs_table = pytest.mark.skipif(
    not TABLE.is_file(), reason=f"{TABLE} is absent; set CARS_HW_DATA to the folder of published figures"
)


@cache
def published_costs() -> dict[str, tuple[float, float]]:
    """Parameters and MACs by code, in millions."""
    with TABLE.open() as file:
        rows = csv.DictReader(file)
        return {row["code"]: (float(row["params_c10_M"]), float(row["macs_c10_M"])) for row in rows}


def counts(graph: Graph) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([graph.parameters(), graph.macs()])


@needs_table
def test_parameters_and_macs_of_all_networks_equal_the_benchmarks() -> None:
    """They are sums over edges, so that 25 graphs give all of them; the sample below has whole graphs."""
    none = counts(SPACE.graph((0,) * 6, "deploy"))
    edges = np.array(
        [
            [
                counts(SPACE.graph(tuple(o if e == edge else 0 for e in range(6)), "deploy")) - none
                for o in range(5)
            ]
            for edge in range(6)
        ]
    )
    codes = {
        "".join(map(str, a)): none + sum(edges[e, o] for e, o in enumerate(a))
        for a in product(range(5), repeat=6)
    }
    assert codes.keys() == published_costs().keys()
    ours = np.array([codes[code] for code in published_costs()])
    theirs = np.array(list(published_costs().values()))
    assert np.array_equal(ours, np.round(theirs * 1e6).astype(np.int64))


@needs_table
def test_whole_graphs_have_the_published_counts() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        architecture = SPACE.sample(rng)
        graph = SPACE.graph(architecture, "deploy")
        assert (graph.parameters() / 1e6, graph.macs() / 1e6) == published_costs()[
            SPACE.to_code(architecture)
        ]


def test_the_space_has_the_published_size() -> None:
    assert SPACE.size() == 15_625


@given(MEMBERS)
def test_code_and_published_form_read_back(architecture: tuple[int, ...]) -> None:
    assert SPACE.from_code(SPACE.to_code(architecture)) == architecture
    assert SPACE.from_published(SPACE.to_published(architecture)) == architecture
    description = SPACE.describe(architecture)
    assert SPACE.from_description(description) == architecture
    assert SPACE.from_description({"arch_str": description["arch_str"]}) == architecture
    assert SPACE.from_description({"code": description["code"]}) == architecture


def test_digits_are_the_benchmarks_edges_and_operations() -> None:
    assert SPACE.from_published(PUBLISHED) == (3, 0, 1, 4, 2, 1)
    assert SPACE.to_code((3, 0, 1, 4, 2, 1)) == "301421"
    assert EDGES == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert OPERATIONS == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


@pytest.mark.parametrize(
    "description",
    [
        None,
        7,
        [],
        {},
        {"code": 301421},
        "",
        "30142",
        "3014211",
        "301425",
        "30142\N{ARABIC-INDIC DIGIT ONE}",
        "|",
        PUBLISHED[:-1],
        PUBLISHED + "|",
        PUBLISHED.replace("~2", "~1"),
        PUBLISHED.replace("+", ""),
        PUBLISHED * 1000,
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_malformed_description_is_refused(description: JsonValue) -> None:
    with pytest.raises(ArchitectureError):
        SPACE.from_description(description)


def test_an_unknown_operation_is_answered_with_the_closest_one() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'nor_conv_3x3'"):
        SPACE.from_description(PUBLISHED.replace("nor_conv_3x3", "conv_3x3"))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("deploy", "tpu"), ("channels", 1), ("cells", 0), ("image_size", 30), ("classes", 1), ("classes", "10")],
)
def test_a_setting_out_of_range_is_refused_with_its_value(setting: str, value: int | str) -> None:
    with pytest.raises(ConfigError, match=rf"{setting} is .*{value}"):
        Nasbench201(**{setting: value})


def slots(code: str) -> set[str]:
    """Slots of the live operations of the one cell of the first stage."""
    live = SMALL.graph(SMALL.from_code(code)).live.nodes
    return {node.slot.removeprefix("stage0.cell0.") for node in live if node.slot.startswith("stage0.cell0.")}


@pytest.mark.parametrize(
    ("code", "live"),
    [
        ("000300", {"node3.from0"}),
        ("300300", {"node3.from0"}),  # nobody reads node 1
        ("000330", {"node3.from0"}),  # node 1 is zeros, and so is what comes of it
        ("300030", {"node1.from0", "node3.from1"}),
        ("303003", {"node1.from0", "node2.from1", "node3.from2"}),
        ("031313", {"node2.from0", "node3.from0", "node3.from2", "node3.sum"}),
        ("111111", {"node2.sum", "node3.sum"}),
        ("300000", set()),
        ("033000", set()),
    ],
)
def test_an_operation_lives_if_it_lies_on_a_path_from_input_to_output(code: str, live: set[str]) -> None:
    assert slots(code) == live


def brute_force_paths(architecture: tuple[int, ...]) -> set[tuple[int, int]]:
    """The edges that lie on a path from node 0 to node 3."""
    present = [edge for edge, option in zip(EDGES, architecture, strict=True) if option]
    paths = [((0, 3),), ((0, 1), (1, 3)), ((0, 2), (2, 3)), ((0, 1), (1, 2), (2, 3))]
    return {edge for path in paths if set(path) <= set(present) for edge in path}


def test_live_edges_of_every_cell_are_those_that_a_search_for_paths_finds() -> None:
    for architecture in product(range(0, 5, 3), repeat=6):
        found = {slot for slot in slots(SMALL.to_code(architecture)) if "from" in slot}
        expected = {f"node{into}.from{source}" for source, into in brute_force_paths(architecture)}
        assert found == expected, architecture


def test_dead_operations_count_as_parameters_and_macs_but_not_where_a_runtime_drops_them() -> None:
    graph = SPACE.graph(SPACE.from_code("300300"), "deploy")
    assert graph.executed("live") == graph.live
    assert graph.executed("whole") == graph
    assert graph.parameters() - graph.live.parameters() == 5 * sum(9 * c * c + 2 * c for c in (16, 32, 64))


@pytest.mark.parametrize("code", ["300000", "000000", "033000"])
def test_a_cell_without_a_path_is_a_network_with_a_constant_output(code: str) -> None:
    graph = SMALL.graph(SMALL.from_code(code))
    assert not graph.is_connected
    network = Network.untrained(graph, whole=True).eval()
    images = torch.randn(3, 3, 8, 8)
    with torch.inference_mode():
        output = network(images)
    assert output.shape == (3, 10)
    assert torch.equal(output[0], output[1])
    session = onnxruntime.InferenceSession(lower(network, [(1, 3, 8, 8)]), providers=["CPUExecutionProvider"])
    [logits] = session.run(None, {"input": images[:1].numpy()})
    np.testing.assert_allclose(logits, output[:1], atol=1e-6)


@pytest.mark.parametrize("code", ["300300", "031313", "432123", "000000"])
def test_every_network_trains_in_the_supernet_and_extracts_to_itself(code: str) -> None:
    architecture = SMALL.from_code(code)
    supernet = SuperNet(SMALL)
    images = torch.randn(4, 3, 8, 8)
    supernet.train()(images, architecture).square().sum().backward()
    trained = {name for name, weight in supernet.named_parameters() if weight.grad is not None}
    assert any(name.startswith("units.classifier") for name in trained)
    extracted = supernet.extract(architecture).eval()
    with torch.inference_mode():
        assert torch.equal(extracted(images), supernet.eval()(images, architecture))


def test_a_table_needs_only_two_dozen_operations() -> None:
    assert len(SPACE.all_operations("deploy")) == 24
    assert len(Nasbench201(cells=64).all_operations("deploy")) == 24


def test_the_image_is_halved_and_the_channels_doubled_between_stages() -> None:
    graph = SMALL.graph(SMALL.from_code("000300"))
    assert [node.spec.input_shape for node in graph.nodes if node.slot.endswith("cell0.node3.from0")] == [
        (1, 4, 8, 8),
        (1, 8, 4, 4),
        (1, 16, 2, 2),
    ]


def test_importing_the_space_does_not_import_torch() -> None:
    program = "import cars_hw.spaces.nasbench201, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    "allowed",
    [
        [(0, 1, 2, 3, 4)] * 6,
        [(1,)] * 6,
        [(0,), (2,), (3, 4), (0, 1), (0, 3), (1,)],
        [(3,), (0,), (1, 2), (0,), (4,), (1, 3)],
    ],
)
def test_what_is_listed_is_what_some_allowed_architecture_has(allowed: list[tuple[int, ...]]) -> None:
    tiny = Nasbench201(deploy="search", channels=2, cells=1, image_size=4)
    nodes = list(tiny.restrict(allowed).all_nodes("search"))
    listed = {(node.slot, node.spec) for node in nodes}
    assert len(listed) == len(nodes)
    assert listed == {
        (node.slot, node.spec) for member in product(*allowed) for node in tiny.graph(member).nodes
    }


def test_soft_paths_weigh_the_chosen_option_as_in_evnas() -> None:
    soft = SMALL.soft_graph((3, 0, 1, 4, 2, 1))
    chosen, other = math.e / (math.e + 4), 1 / (math.e + 4)
    assert (round(chosen, 3), round(other, 3)) == (0.405, 0.149)
    cell = {slot.removeprefix("stage0.cell0."): w for slot, w in soft.weights.items() if "stage0" in slot}
    assert cell == {
        "node1.from0~mix": pytest.approx((other, other, chosen, other)),
        "node2.from0~mix": pytest.approx((other,) * 4),  # none was chosen, and adds nothing
        "node2.from1~mix": pytest.approx((chosen, other, other, other)),
        "node3.from0~mix": pytest.approx((other, other, other, chosen)),
        "node3.from1~mix": pytest.approx((other, chosen, other, other)),
        "node3.from2~mix": pytest.approx((chosen, other, other, other)),
    }


def test_a_soft_network_is_the_weighted_sum_of_its_options_on_each_edge() -> None:
    space = Nasbench201(deploy="search", channels=4, cells=1, image_size=4)
    architecture = (3, 0, 1, 4, 2, 1)
    supernet, image = SuperNet(space).eval(), torch.randn(2, 3, 4, 4)
    units = {(node.slot, node.spec): supernet.unit(node) for node in space.all_nodes("search")}

    def unit(slot: str, *inputs: torch.Tensor, kernel: int | None = None) -> torch.Tensor:
        [found] = [
            u
            for (s, spec), u in units.items()
            if s == slot
            and (kernel is None or (dict(spec.params)["kernel"], spec.kind[:4]) == (kernel, "relu"))
        ]
        output: torch.Tensor = found(*inputs)
        return output

    def edge(cell: str, edge: int, x: torch.Tensor) -> torch.Tensor:
        source, into = EDGES[edge]
        slot = f"{cell}.node{into}.from{source}"
        pooled = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        outputs = (0 * x, x, unit(slot, x, kernel=1), unit(slot, x, kernel=3), pooled)
        weights = torch.softmax(functional.one_hot(torch.tensor(architecture[edge]), 5).float(), 0)
        return sum((w * output for w, output in zip(weights, outputs, strict=True)), start=torch.zeros(()))

    def cell(name: str, x: torch.Tensor) -> torch.Tensor:
        one = edge(name, 0, x)
        two = edge(name, 1, x) + edge(name, 2, one)
        return edge(name, 3, x) + edge(name, 4, one) + edge(name, 5, two)

    with torch.inference_mode():
        x = cell("stage0.cell0", unit("stem", image))
        for stage in (1, 2):
            block = unit(f"reduction{stage}.conv1", unit(f"reduction{stage}.conv0", x))
            x = cell(f"stage{stage}.cell0", block + unit(f"reduction{stage}.shortcut", x))
        torch.testing.assert_close(supernet.forward_soft(image, architecture), unit("classifier", x))


def test_a_restricted_space_mixes_what_it_allows() -> None:
    space = SMALL.restrict([(0,), (3,), (0, 1), (1, 3), (0,), (2, 4)])
    soft = space.soft_graph((0, 3, 1, 1, 0, 4))
    cell = {slot.removeprefix("stage0.cell0."): w for slot, w in soft.weights.items() if "stage0" in slot}
    chosen, other = math.e / (math.e + 1), 1 / (math.e + 1)
    assert cell == {
        "node2.from0~mix": pytest.approx((1.0,)),
        "node2.from1~mix": pytest.approx((chosen,)),
        "node3.from0~mix": pytest.approx((chosen, other)),
        "node3.from2~mix": pytest.approx((other, chosen)),
    }
    weights = {(node.slot, node.spec) for node in space.all_nodes("search")}
    own = [soft.original(node) for node in soft.graph.nodes if node.slot not in soft.weights]
    assert {(node.slot, node.spec) for node in own if operations.parameters(node.spec)} <= weights
