import csv
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_hw.errors import ArchitectureError
from cars_hw.networks import operations
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Graph, Node
from cars_hw.spaces._multibranch import OPERATIONS
from cars_hw.spaces.nse import Nse
from cars_hw.strategies.g_evonas import absent
from devices.foundation.errors import ConfigError
from latency_tables.spec import OpSpec

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("CARS_HW_DATA", ROOT / "../shared/data"))
PUBLISHED, TABLE = DATA / "nse/nse_published_networks.json", DATA / "nse/nse_gpu_lut_b128.csv"
NETWORKS = {"nsenet-27": "NSENet27", "nsenet": "NSENet", "nsenet-gpu": "NSENet_GPU"}

needs_data = pytest.mark.skipif(
    not (PUBLISHED.is_file() and TABLE.is_file()),
    reason=f"{PUBLISHED} or {TABLE} is absent; set CARS_HW_DATA to the folder of published figures",
)

#: A stride-1 layer, one that halves the image, and another stride-1 layer, of 19 operations each.
SMALL = Nse(
    variant="nsenet-gpu", deploy="search", channels=4, stages=2, depth=1, max_branches=3, image_size=8
)
N = 19
ON_OR_OFF = st.tuples(*(st.integers(0, 1) for _ in SMALL.choices))


def published(variant: str) -> dict[str, Any]:
    networks: dict[str, dict[str, Any]] = json.loads(PUBLISHED.read_text())
    return networks[NETWORKS[variant]]


def deployed(variant: str) -> Graph:
    space = Nse(variant=variant)
    network = published(variant)
    return space.graph(space.from_description(code_of(network)), "deploy")


def code_of(network: dict[str, Any]) -> dict[str, Any]:
    return {"code": network["code"], "alloc_space": network["alloc_space"]}


def having(*branches: tuple[int, ...]) -> Architecture:
    """The member of SMALL with these operations in its layers."""
    return tuple(int(i in indices) for indices in branches for i in range(N))


def slots(graph: Graph) -> list[str]:
    return [node.slot for node in graph.nodes]


@needs_data
@pytest.mark.parametrize(
    ("variant", "parameters_m", "macs_m"),
    [("nsenet-27", 4.57, 326.3), ("nsenet", 4.56, 331.0), ("nsenet-gpu", 15.7, 1471)],
)
def test_published_networks_have_the_parameters_and_macs_of_their_paper(
    variant: str, parameters_m: float, macs_m: float
) -> None:
    graph = deployed(variant)
    assert graph.parameters() / 1e6 == pytest.approx(parameters_m, abs=0.05)
    assert graph.macs() / 1e6 == pytest.approx(macs_m, abs=0.5 if macs_m == 1471 else 0.05)
    recomputed = published(variant)["recomputed"]
    assert graph.parameters() / 1e6 == pytest.approx(recomputed["params_M"], abs=5.1e-4)
    assert graph.macs() / 1e6 == pytest.approx(recomputed["macs_M"], abs=5.1e-3)


@needs_data
@pytest.mark.parametrize("variant", NETWORKS)
def test_published_networks_have_the_layers_of_their_record(variant: str) -> None:
    network = published(variant)
    branches = [node for node in deployed(variant).nodes if node.slot.startswith("layer")]
    by_layer = {
        layer: [node for node in nodes if node.spec.kind != "mean"]
        for layer, nodes in itertools.groupby(branches, key=lambda node: node.slot.partition(".")[0])
    }
    assert len(by_layer) == len(network["layers"])
    for nodes, layer in zip(by_layer.values(), network["layers"], strict=True):
        assert {node.slot.partition(".")[2] for node in nodes} == set(layer["branches"])
        for node in nodes:
            assert node.spec.input_shape == (1, layer["cin"], layer["hw"], layer["hw"])
            assert (node.spec.integer("out"), node.spec.integer("stride")) == (layer["cout"], layer["stride"])


@needs_data
@pytest.mark.parametrize("variant", NETWORKS)
def test_the_operations_are_the_published_ones_in_their_order(variant: str) -> None:
    names = json.loads(PUBLISHED.read_text())["op_names"]
    operations = Nse(variant=variant).plan.operations
    assert [operation.name for operation in operations] == names[str(len(operations))]


@needs_data
def test_the_published_gpu_table_gives_66_09_for_the_network_searched_for_66() -> None:
    """The released code adds up the branches' convolutions and the additions of their means."""
    convs: dict[tuple[object, ...], float] = {}
    additions: dict[tuple[object, ...], float] = {}
    with TABLE.open() as file:
        for row in csv.DictReader(file):
            size, channels = pair(row["hw"]), int(row["c_in"])
            if row["type_code"] == "1":
                shape = (channels, int(row["c_out"]), pair(row["kernel"]), pair(row["stride"]))
                convs[(size, *shape, int(row["group"]))] = float(row["min"])
            elif row["type_code"] == "4":
                additions[size, channels] = float(row["min"])

    def cost(spec: OpSpec) -> float:
        if spec.kind == "mean":
            return (spec.integer("inputs") - 1) * additions[spec.input_shape[2:], spec.input_shape[1]]
        return sum(
            convs[shape[2:], conv.c_in, conv.c_out, conv.kernel_size, conv.strides, conv.groups]
            for conv, shape in operations.conv_inputs(spec)
        )

    nodes = deployed("nsenet-gpu").nodes
    assert sum(cost(node.spec) for node in nodes if node.slot.startswith("layer")) == pytest.approx(
        66.092, abs=1e-3
    )


def pair(text: str) -> tuple[int, int]:
    first, *rest = (int(number) for number in text.strip("()").split(","))
    return (first, rest[0] if rest else first)


@pytest.mark.parametrize(
    ("variant", "n_layers", "n_entries"),
    [("nsenet-27", 22, 361), ("nsenet", 22, 901), ("nsenet-gpu", 21, 199)],
)
def test_the_plans_have_the_published_layers_and_tables_of_the_size_in_the_docs(
    variant: str, n_layers: int, n_entries: int
) -> None:
    space = Nse(variant=variant)
    assert len(space.all_operations("deploy")) == n_entries
    assert len(space.groups) == n_layers
    assert len(space.choices) == n_layers * len(space.plan.operations)


def test_dilated_and_grouped_operations_have_latencies_of_their_own() -> None:
    """The released table looks operations up without their groups, and has none that are dilated."""
    space = Nse(variant="nsenet", stages=1)
    operations = {spec for spec in space.all_operations() if spec.kind in ("mbconv", "rec")}
    assert len(operations) == 72


@pytest.mark.parametrize("n", OPERATIONS)
def test_no_operation_is_there_twice(n: int) -> None:
    assert len({operation.name for operation in OPERATIONS[n]}) == n
    assert len({(operation.kind, operation.params) for operation in OPERATIONS[n]}) == n


def test_a_layer_is_the_mean_of_its_branches_and_its_input() -> None:
    graph = SMALL.graph(having((3, 5), (1, 2), ()))
    nodes = {node.slot: node for node in graph.nodes}
    assert nodes["layer0.mean"].inputs == ("stem", "layer0.mb_k5_t1", "layer0.mb_k5_t6")
    assert nodes["layer1.mean"].inputs == ("layer1.mb_k3_t3", "layer1.mb_k3_t6")
    assert nodes["tail"].inputs == ("layer1.mean",)


def test_a_layer_without_branches_is_no_layer_where_it_keeps_the_shape() -> None:
    assert slots(SMALL.graph(having((), (4,), ()))) == ["stem", "layer1.mb_k5_t3", "tail", "classifier"]


def test_a_layer_that_changes_the_shape_falls_back_to_the_first_operation() -> None:
    assert SMALL.graph(having((), (), ())) == SMALL.graph(having((), (0,), ()))


def test_of_too_many_branches_the_first_count() -> None:
    assert SMALL.graph(having((1, 2, 8, 9), (4,), ())) == SMALL.graph(having((1, 2, 8), (4,), ()))


def test_widths_and_sizes_follow_the_scale() -> None:
    space = Nse(variant="nsenet", channels=8, image_size=16, classes=7, image_channels=1)
    architecture = space.sample(np.random.default_rng(0))
    search, deploy = space.graph(architecture, "search").nodes, space.graph(architecture, "deploy").nodes
    assert [node.slot for node in search] == [node.slot for node in deploy]
    widths = [
        dict.fromkeys(
            node.spec.integer("out") for node in nodes if node.slot.startswith("layer") and is_op(node)
        )
        for nodes in (search, deploy)
    ]
    assert [list(each)[-6:] for each in widths] == [
        [12, 20, 40, 48, 96, 160],
        [24, 40, 80, 104, 200, 336],
    ]
    assert search[-1].spec.integer("out") == 7
    assert deploy[0].spec.input_shape == (1, 3, 224, 224)


def is_op(node: Node) -> bool:
    return node.spec.kind != "mean"


def test_a_sample_has_few_branches_and_no_synonyms() -> None:
    rng = np.random.default_rng(0)
    counts: list[Counter[int]] = [Counter(), Counter(), Counter()]
    for _ in range(600):
        member = SMALL.sample(rng)
        assert member == having(*SMALL.branches(member))
        for count, indices in zip(counts, SMALL.branches(member), strict=True):
            count[len(indices)] += 1
    assert sorted(counts[0]) == sorted(counts[2]) == [0, 1, 2, 3]
    assert sorted(counts[1]) == [1, 2, 3]
    assert all(abs(n - 150) < 60 for n in counts[0].values())


@given(member=ON_OR_OFF)
def test_descriptions_read_back_as_the_same_network(member: Architecture) -> None:
    read = SMALL.from_description(json.loads(json.dumps(SMALL.describe(member))))
    assert SMALL.graph(read) == SMALL.graph(member)
    assert SMALL.describe(read) == SMALL.describe(member)


def test_a_code_leaves_out_the_layers_that_it_says_it_lacks() -> None:
    space = Nse(variant="nsenet-gpu", deploy="search", stages=2, depth=2)
    read = space.from_description({"code": [[2], [0], [7, 1]], "alloc_space": [1, 1]})
    assert space.branches(read) == ((2,), (0,), (1, 7), ())


@pytest.mark.parametrize(
    "description",
    [
        None,
        {"code": [[0]]},
        {"code": [[0], [0], [0]], "alloc_space": "11"},
        {"code": [[0], [0], [0]], "alloc_space": [1, 2]},
        {"code": [[0], [0], [0]], "alloc_space": [1, -1]},
        {"code": [[0], [0], [0]], "alloc_space": [1, 1, 1]},
        {"code": [[0], [0], [0]], "alloc_space": [1, "1"]},
        {"code": [[0], [0]], "alloc_space": [1, 1]},
        {"code": [[0], [0], [0], [0]], "alloc_space": [1, 1]},
        {"code": [[0], [], [0]], "alloc_space": [1, 1]},
        {"code": [[0], [19], [0]], "alloc_space": [1, 1]},
        {"code": [[0], [-1], [0]], "alloc_space": [1, 1]},
        {"code": [[0], [1, 1], [0]], "alloc_space": [1, 1]},
        {"code": [[0], [1, 2, 3, 4], [0]], "alloc_space": [1, 1]},
        {"code": [[0], ["mb_k3_t1"], [0]], "alloc_space": [1, 1]},
        {"code": [[0], 1, [0]], "alloc_space": [1, 1]},
    ],
    ids=str,
)
def test_a_description_that_is_no_network_is_refused(description: Any) -> None:
    with pytest.raises(ArchitectureError):
        SMALL.from_description(description)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("variant", "nsenet-28"),
        ("deploy", "cifar"),
        ("channels", 3),
        ("stages", 0),
        ("depth", -1),
        ("max_branches", 0),
        ("image_size", 2),
        ("stem_stride", 3),
        ("classes", 1),
        ("image_channels", 0),
        ("depth", 1.5),
    ],
)
def test_a_setting_out_of_range_is_named(setting: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{setting} is {value!r}"):
        Nse(**{setting: value})


def test_a_restricted_space_lists_what_its_architectures_have() -> None:
    allowed = [(0, 1) if d % N in (4, 7) else (0,) for d in range(len(SMALL.choices))]
    restricted = SMALL.restrict(allowed)
    listed = {(node.slot, node.spec) for node in restricted.all_nodes()}
    had = {
        (node.slot, node.spec)
        for options in itertools.product(*allowed)
        for node in SMALL.graph(options).nodes
    }
    assert listed == had
    rng = np.random.default_rng(0)
    assert {tuple(restricted.sample(rng)[d] for d in range(N) if d not in (4, 7)) for _ in range(50)} == {
        (0,) * (N - 2)
    }


def test_branches_that_a_restriction_forces_are_always_there() -> None:
    forced = SMALL.restrict(
        [(1,) if d == N + 6 else (0, 1) if d % N < 2 else (0,) for d in range(len(SMALL.choices))]
    )
    rng = np.random.default_rng(0)
    assert all(forced.sample(rng)[N + 6] == 1 for _ in range(20))
    had = {
        (node.slot, node.spec)
        for options in itertools.product(*forced.allowed)
        for node in SMALL.graph(options).nodes
    }
    assert {(node.slot, node.spec) for node in forced.all_nodes()} == had


def test_stages_are_the_widths_and_absent_is_the_smallest_network() -> None:
    space = Nse(variant="nsenet-27")
    assert [len(stage) // 27 for stage in space.stages] == [1, 4, 4, 4, 4, 4, 1]
    assert sorted(itertools.chain.from_iterable(space.stages)) == list(range(len(space.choices)))
    n_layers = len({slot.partition(".")[0] for slot in slots(space.graph(absent(space)))} - {"stem", "tail"})
    assert n_layers == 6 + 1  # the changes of width, and the classifier


def test_scores_decode_to_the_branches_that_win_by_most() -> None:
    margins = {0: 0.4, 1: 0.3, 2: -0.1, 5: 0.2, 7: 0.9, N + 3: -0.2}
    scores = [(0.5, 0.5 + margins.get(d, -0.4)) for d in range(len(SMALL.choices))]
    assert SMALL.branches(SMALL.decode(scores)) == ((0, 1, 7), (3,), ())


def test_a_soft_graph_mixes_every_branch_with_the_input() -> None:
    soft = SMALL.soft_graph(having((3, 5), (1,), ()))
    e = np.e
    on, off = e / (e + 1), 1 / (e + 1)
    for i, n_on in ((0, 2), (1, 1), (2, 0)):
        weights = soft.weights[f"layer{i}.mix"]
        joins_input = i != 1
        total = (n_on + joins_input) * on + (N - n_on) * off
        assert sum(weights) == pytest.approx(1)
        assert sorted(weights, reverse=True) == pytest.approx(
            [on / total] * (n_on + joins_input) + [off / total] * (N - n_on)
        )
    names = {node.slot: node for node in soft.graph.nodes}
    third = names["layer0.mix"].inputs.index("layer0.mb_k5_t1")
    assert soft.weights["layer0.mix"][third] == max(soft.weights["layer0.mix"])


def test_the_space_needs_no_torch() -> None:
    code = "import sys; from cars_hw.spaces.nse import Nse; Nse().all_operations(); assert 'torch' not in "
    code += "sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
