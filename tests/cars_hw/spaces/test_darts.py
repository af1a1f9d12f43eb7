import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_hw.errors import ArchitectureError
from cars_hw.networks import operations
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Graph
from cars_hw.objectives import Macs, Parameters
from cars_hw.spaces._space import Scale
from cars_hw.spaces.darts import OPERATIONS, Darts
from cars_hw.strategies.g_evonas import stages
from devices.foundation.errors import ConfigError, UnknownNameError
from latency_tables.spec import OpSpec

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("CARS_HW_DATA", ROOT / "../shared/data"))
PUBLISHED = DATA / "published/darts_space_genotypes.json"
NETWORKS = ("CARS_A", "CARS_C", "CARS_E", "CARS_G", "CARS_I", "DARTS_V1", "DARTS_V2")
SPACE = Darts()
MEMBERS = st.tuples(*(st.integers(0, n - 1) for n in SPACE.choices))

needs_data = pytest.mark.skipif(
    not PUBLISHED.is_file(),
    reason=f"{PUBLISHED} is absent; set CARS_HW_DATA to the folder of published figures",
)
CELL = [("sep_conv_3x3", 0), ("skip_connect", 1)] * 4


def record(name: str) -> dict[str, Any]:
    networks: dict[str, dict[str, Any]] = json.loads(PUBLISHED.read_text())
    return networks[name]


def deployed(network: dict[str, Any], deploy: str) -> Graph:
    space = Darts(deploy=deploy)
    return space.graph(space.from_genotype(network["normal"], network["reduce"]), "deploy")


@needs_data
@pytest.mark.parametrize("deploy", ["cifar", "imagenet"])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name.startswith("CARS")])
def test_parameters_of_published_networks_agree_to_the_printed_digit(name: str, deploy: str) -> None:
    network = record(name)
    printed = network["published"][f"{deploy}_params_M"]
    assert round(deployed(network, deploy).parameters() / 1e6, 1) == printed


@needs_data
@pytest.mark.parametrize("deploy", ["cifar", "imagenet"])
@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_and_macs_agree_with_an_independent_count(name: str, deploy: str) -> None:
    network = record(name)
    graph = deployed(network, deploy)
    assert graph.parameters() == round(network["recomputed"][f"{deploy}_params_M"] * 1e6)
    assert round(graph.macs() / 1e6, 3) == network["recomputed"][f"{deploy}_macs_M"]


def test_the_space_has_the_size_that_its_paper_implies() -> None:
    cell = math.prod(math.comb(i + 2, 2) * 7**2 for i in range(4))
    assert SPACE.size() == cell**2
    assert len(SPACE.choices) == 24


def test_a_group_is_one_node_of_both_cells() -> None:
    assert SPACE.groups == tuple(
        (3 * i, 3 * i + 1, 3 * i + 2, 12 + 3 * i, 13 + 3 * i, 14 + 3 * i) for i in range(4)
    )


@given(MEMBERS)
def test_the_genotype_reads_back(architecture: tuple[int, ...]) -> None:
    genotype = SPACE.to_genotype(architecture)
    assert SPACE.from_genotype(genotype.normal, genotype.reduce) == architecture


@given(MEMBERS, st.data())
def test_the_order_of_the_edges_into_a_node_does_not_matter(
    architecture: tuple[int, ...], data: st.DataObject
) -> None:
    genotype = SPACE.to_genotype(architecture)
    normal = list(genotype.normal)
    for node in data.draw(st.sets(st.integers(0, 3))):
        normal[2 * node], normal[2 * node + 1] = normal[2 * node + 1], normal[2 * node]
    assert SPACE.from_genotype(normal, genotype.reduce) == architecture


def test_different_architectures_are_different_graphs() -> None:
    base = (0,) * len(SPACE.choices)
    for decision, n in enumerate(SPACE.choices):
        if n > 1:
            other = (*base[:decision], 1, *base[decision + 1 :])
            assert SPACE.graph(other) != SPACE.graph(base)


@pytest.mark.parametrize(
    "cell",
    [
        [],
        CELL[:-1],
        [*CELL, ("skip_connect", 0)],
        [("none", 0), *CELL[1:]],
        [("skip_connect", 1), *CELL[1:]],
        [("skip_connect", 2), *CELL[1:]],
        [("skip_connect", -1), *CELL[1:]],
        [("skip_connect",), *CELL[1:]],
        [("skip_connect", "0"), *CELL[1:]],
        [(0, "skip_connect"), *CELL[1:]],
    ],
    ids=str,
)
def test_a_malformed_genotype_is_refused(cell: list[tuple[str | int, ...]]) -> None:
    with pytest.raises(ArchitectureError, match="reduce"):
        SPACE.from_genotype(CELL, cell)


def test_an_unknown_operation_is_answered_with_the_closest_one() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'sep_conv_3x3'"):
        SPACE.from_genotype([("sepconv_3x3", 0), *CELL[1:]], CELL)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("deploy", "tpu"),
        ("deploy_channels", 15),
        ("deploy_cells", 2),
        ("deploy_image_size", 30),
        ("deploy_classes", 1),
        ("channels", 0),
        ("channels", 15),
        ("channels", 10**9),
        ("cells", 2),
        ("cells", 10**9),
        ("image_size", 30),
        ("image_size", 10**9),
        ("image_channels", 0),
        ("classes", 1),
        ("classes", 10**9),
        ("classes", 10.0),
        ("classes", "10"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_its_value(setting: str, value: int | str) -> None:
    with pytest.raises(ConfigError, match=rf"{setting} is .*{value}"):
        Darts(**{setting: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"deploy": "search", "deploy_cells": 8}, 'deploy_cells says nothing where deploy = "search"'),
        ({"deploy": "imagenet", "deploy_image_size": 100}, "deploy_image_size is 100; .* a multiple of 32"),
    ],
)
def test_settings_of_the_deployed_network_that_do_not_go_together_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Darts(**settings)


def test_a_network_is_deployed_with_other_channels_cells_images_and_classes() -> None:
    usual, asked = Darts(deploy="cifar"), {"deploy_channels": 10, "deploy_cells": 7, "deploy_image_size": 64}
    space = Darts(deploy="cifar", deploy_image_channels=1, deploy_classes=5, **asked)
    member = usual.from_genotype(CELL, CELL)
    graph = space.graph(member, "deploy")
    assert graph.nodes[0].spec == OpSpec.parse("conv_bn[1x1x64x64;affine=1,kernel=3,out=30,stride=1;float32]")
    assert operations.output_shape(graph.nodes[-1].spec) == (1, 5)
    concats = [node.spec.input_shape for node in graph.nodes if node.spec.kind == "concat"]
    sizes = [*[(1, 10, 64, 64)] * 2, *[(1, 20, 32, 32)] * 2, *[(1, 40, 16, 16)] * 3]
    assert concats == sizes
    assert graph != usual.graph(member, "deploy")
    assert space.graph(member, "search") == usual.graph(member, "search")


@pytest.mark.parametrize("deploy", ["cifar", "imagenet"])
def test_the_published_sizes_spelled_out_are_the_published_networks(deploy: str) -> None:
    spelled = {
        "cifar": {"deploy_channels": 36, "deploy_cells": 20, "deploy_image_size": 32, "deploy_classes": 10},
        "imagenet": {
            "deploy_channels": 48,
            "deploy_cells": 14,
            "deploy_image_size": 224,
            "deploy_classes": 1000,
        },
    }[deploy]
    member = SPACE.from_genotype(CELL, CELL)
    usual, asked = Darts(deploy=deploy), Darts(deploy=deploy, deploy_image_channels=3, **spelled)
    assert asked.graph(member, "deploy") == usual.graph(member, "deploy")


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="layers"):
        Darts(layers=8)


@pytest.mark.parametrize(
    ("cells", "reductions"), [(3, [1, 2]), (4, [1, 2]), (5, [1, 3]), (8, [2, 5]), (20, [6, 13])]
)
def test_two_cells_halve_the_image_and_double_the_channels(cells: int, reductions: list[int]) -> None:
    space = Darts(cells=cells, channels=4, image_size=28)
    graph = space.graph((0,) * len(space.choices))
    concats = [node.spec.input_shape for node in graph.nodes if node.spec.kind == "concat"]
    halvings = [sum(index >= reduction for reduction in reductions) for index in range(cells)]
    assert concats == [(1, 4 * 2**n, 28 // 2**n, 28 // 2**n) for n in halvings]


def test_a_searched_network_can_be_the_deployed_one() -> None:
    space = Darts(deploy="search", channels=8, cells=5, image_size=28, image_channels=1)
    architecture = (0,) * len(space.choices)
    assert space.deploys_search_graph
    assert space.graph(architecture, "deploy") == space.graph(architecture, "search")
    assert space.all_operations("deploy") == space.all_operations("search")


def test_scales_differ_in_normalisation() -> None:
    searched, final = (SPACE.all_operations(scale) for scale in ("search", "deploy"))
    assert {dict(spec.params).get("affine") for spec in searched} == {0, None}
    assert {dict(spec.params).get("affine") for spec in final} == {1, None}
    assert {dict(spec.params).get("batch_norm") for spec in searched} == {1, None}
    assert {dict(spec.params).get("batch_norm") for spec in final} == {0, None}


def test_a_skip_at_stride_1_is_no_node() -> None:
    skip = OPERATIONS.index("skip_connect")
    graph = SPACE.graph((0, skip, skip) * 8)
    slots = {node.slot: node for node in graph.nodes}
    assert slots["cell0.node0.sum"].inputs == ("cell0.preprocess0", "cell0.preprocess1")
    assert slots["cell2.node0.sum"].inputs == ("cell2.node0.from0", "cell2.node0.from1")
    assert slots["cell2.node0.from0"].spec.kind == "factorized_reduce"


@pytest.mark.parametrize("deploy", ["cifar", "imagenet", "search"])
def test_networks_share_the_parts_that_make_up_their_counts(deploy: str) -> None:
    space = Darts(deploy=deploy)
    rng = np.random.default_rng(0)
    members = [space.sample(rng) for _ in range(6)]
    for member in members:
        graph = space.deployed(member)
        assert sorted(str(spec) for part in space.parts(member) for spec in part.specs) == sorted(
            map(str, graph.specs())
        )
        assert Parameters(space)(member) == graph.parameters()
        assert Macs(space)(member) == graph.macs()
    changed = (*members[0][:-1], (members[0][-1] + 1) % 7)
    pairs = zip(space.parts(members[0]), space.parts(changed), strict=True)
    assert [one is other for one, other in pairs] == [True] * 8 + [False]


def test_a_space_made_of_this_one_with_other_networks_has_not_its_parts() -> None:
    class Wider(Darts):
        def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
            return Darts(channels=32).graph(architecture, scale)

    class Shorter(Darts):
        def deployed(self, architecture: Architecture) -> Graph:
            return Darts(cells=3).graph(architecture)

    assert Wider().parts((0,) * 24) == ()
    assert Shorter().parts((0,) * 24) == ()
    assert Darts().parts((0,) * 24)


def test_parts_of_what_is_no_member_are_refused() -> None:
    with pytest.raises(ArchitectureError):
        SPACE.parts((0, 9))


def test_importing_the_space_does_not_import_torch() -> None:
    program = "import cars_hw.spaces.darts, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


def rows(architecture: tuple[int, ...], score: float = 1.0) -> list[list[float]]:
    """Return scores that are 0 but for the operations of ``architecture`` on its edges."""
    scores = [[0.0] * n for n in SPACE.score_rows]
    genotype = SPACE.to_genotype(architecture)
    for cell, edges in enumerate((genotype.normal, genotype.reduce)):
        for edge, (operation, predecessor) in enumerate(edges):
            node = edge // 2
            row = 14 * cell + sum(i + 2 for i in range(node)) + predecessor
            scores[row][1 + OPERATIONS.index(operation)] = score
    return scores


def test_scores_are_rated_on_28_edges_of_eight_operations() -> None:
    assert SPACE.score_rows == (8,) * 28


@given(MEMBERS)
def test_the_scores_of_an_architecture_decode_to_it(architecture: tuple[int, ...]) -> None:
    assert SPACE.decode(rows(architecture)) == architecture


def test_none_is_replaced_by_the_runner_up_and_weakens_its_edge() -> None:
    scores = rows((0, 3, 4) * 8)
    for row in scores:
        row[0] = 5.0  # none wins everywhere; the two edges of each node still score best of the rest
    assert SPACE.decode(scores) == (0, 3, 4) * 8
    # Node 1 of the normal cell: a great none on the edge from 0 leaves little of the softmax to others.
    scores = [[0.5] * 8 for _ in SPACE.score_rows]
    scores[2] = [9.0, 3.0, *[0.0] * 6]
    scores[3][4] = scores[4][5] = 0.6
    assert SPACE.decode(scores)[3:6] == (2, 3, 4)


@given(st.lists(st.lists(st.floats(0, 1), min_size=8, max_size=8), min_size=28, max_size=28))
def test_decoding_is_that_of_the_published_genotype(scores: list[list[float]]) -> None:
    """As DARTS derives it: softmax, per node the two edges with the best operation but none."""
    found = SPACE.to_genotype(SPACE.decode(scores))
    soft = [[math.exp(score) / sum(map(math.exp, row)) for score in row] for row in scores]
    for cell, edges in enumerate((found.normal, found.reduce)):
        start = 14 * cell
        for node in range(4):
            best = [max(row[1:]) for row in soft[start : start + node + 2]]
            kept = edges[2 * node : 2 * node + 2]
            assert sorted(best)[-2:] == pytest.approx(sorted(best[j] for _, j in kept), abs=1e-12)
            for operation, j in kept:
                assert soft[start + j][1 + OPERATIONS.index(operation)] == best[j]
            start += node + 2


def test_restricted_scores_compete_among_what_is_allowed() -> None:
    space = SPACE.restrict([(options[-1],) for options in SPACE.allowed])
    assert space.decode(rows((0,) * 24)) == tuple(n - 1 for n in SPACE.choices)


def test_soft_weights_are_those_of_evnas() -> None:
    """E / (e + 7) for the chosen operation, 1 / (e + 7) for others, 1 / 8 on dropped edges."""
    space = Darts(deploy="search", channels=2, cells=3, image_size=8, image_channels=1)
    architecture = space.sample(np.random.default_rng(3))
    genotype = space.to_genotype(architecture)
    soft = space.soft_graph(architecture)
    nodes = {node.slot: node for node in soft.graph.nodes}
    for index, edges in enumerate((genotype.normal, genotype.reduce, genotype.reduce)):
        chosen = {(edge // 2, j): operation for edge, (operation, j) in enumerate(edges)}
        for node in range(4):
            assert soft.weights[f"cell{index}.node{node}.sum"] == (1.0,) * (node + 2)
            for j in range(node + 2):
                weights = soft.weights[f"cell{index}.node{node}.from{j}~mix"]
                names = [_operation(slot) for slot in nodes[f"cell{index}.node{node}.from{j}~mix"].inputs]
                assert names == list(OPERATIONS)
                if (node, j) not in chosen:
                    assert weights == (0.125,) * 7
                    continue
                for name, weight in zip(names, weights, strict=True):
                    assert weight == pytest.approx(0.2797 if name == chosen[node, j] else 0.1029, abs=5e-5)


def _operation(slot: str) -> str:
    return slot.partition("~")[2] if "~" in slot else "skip_connect"


def test_a_cell_grows_node_by_node_from_skipped_inputs() -> None:
    assert stages(SPACE) == SPACE.groups
    genotype = SPACE.to_genotype(SPACE.absent)
    assert genotype.normal == (("skip_connect", 0), ("skip_connect", 1)) * 4
    assert genotype.reduce == (("max_pool_3x3", 0), ("max_pool_3x3", 1)) * 4
