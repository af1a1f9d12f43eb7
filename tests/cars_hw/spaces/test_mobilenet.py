"""The space of inverted residuals against published and hand-made counts."""

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue
from torch import nn

from cars_hw.errors import ArchitectureError
from cars_hw.networks import operations
from cars_hw.spaces.mobilenet import Mobilenet
from cars_hw.testing import SpaceContract, SpaceInTfLiteContract
from cars_hw.weights.network import Network
from cars_hw.weights.supernet import SuperNet
from devices.foundation.errors import ConfigError, UnknownNameError
from latency_tables.spec import OpSpec
from profilers.lowering.tflite import lower
from profilers.runtimes._tflite.interpreter import TfLiteModel
from tests.fakes.tflite_files import run

ROOT = Path(__file__).parents[3]
SPACE = Mobilenet()
SMALL = Mobilenet(deploy="search", layers=2, channels=8, image_size=16)
#: Options of a layer of MobileNetV2's family: kernel and expansion, and the one that skips it.
BLOCKS = tuple(itertools.product((3, 5, 7), (3, 6)))
SKIP = len(BLOCKS)
GATED: tuple[Literal["mnasnet", "mobilenet_v3"], ...] = ("mnasnet", "mobilenet_v3")
MEMBERS = st.tuples(*(st.integers(0, n - 1) for n in SPACE.choices))

#: Expansion, width, layers and first stride of each stage of MobileNetV2 (its table 2).
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

#: By family, width and layers of each stage of a published network (MnasNet-A1: figure 7; MobileNetV3-Large:
#: table 1), and its parameters and multiply-accumulates.
PUBLISHED: dict[str, tuple[tuple[tuple[int, tuple[str, ...]], ...], int, int]] = {
    "mnasnet": (
        (
            (24, ("k3e6",) * 2),
            (40, ("k5e3se",) * 3),
            (80, ("k3e6",) * 4),
            (112, ("k3e6se",) * 2),
            (160, ("k5e6se",) * 3),
            (320, ("k3e6",)),
        ),
        3_887_038,
        312,
    ),
    "mobilenet_v3": (
        (
            (24, ("k3e4", "k3e3")),
            (40, ("k5e3se",) * 3),
            (80, ("k3e6", "k3e2.5", "k3e2.3", "k3e2.3")),
            (112, ("k3e6se",) * 2),
            (160, ("k5e6se",) * 3),
        ),
        5_483_032,
        217,
    ),
}


def published(space: Mobilenet) -> tuple[int, ...]:
    """Return the published member of a space, whose stages have up to four layers but for MnasNet's last."""
    stages, _, _ = PUBLISHED[space.settings.family]
    deepest = [1 if width == 320 else 4 for width, _ in stages]
    return space.from_description(
        {
            "stages": [
                {"width": width, "layers": [*layers, *["skip"] * (most - len(layers))]}
                for (width, layers), most in zip(stages, deepest, strict=True)
            ]
        }
    )


def small(family: str) -> Mobilenet:
    return Mobilenet(family=family, deploy="search", layers=2, channels=8, image_size=16)


def full(space: Mobilenet, *, width: int, block: int) -> tuple[int, ...]:
    """Every layer there, all with one block and all stages with one option of width."""
    return tuple(width if n == 2 else block for n in space.choices)


def shapes(space: Mobilenet, architecture: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shape of what each block computes."""
    nodes = space.graph(architecture, "deploy").nodes
    return [operations.output_shape(n.spec)[1:] for n in nodes if n.spec.kind == "inverted_residual"]


def test_its_operations_make_up_the_published_mobilenet_v2() -> None:
    specs = [OpSpec.of("conv_bn_relu6", (1, 3, 224, 224), out=32, kernel=3, stride=2)]

    def add(kind: str, **params: int) -> None:
        specs.append(OpSpec.of(kind, operations.output_shape(specs[-1]), **params))

    for expansion, width, depth, stride in MOBILENET_V2:
        for index in range(depth):
            first = stride if index == 0 else 1
            add("inverted_residual", out=width, kernel=3, stride=first, expansion=expansion)
    add("conv_bn_relu6", out=1280, kernel=1, stride=1)
    add("classifier", out=1000)
    assert sum(map(operations.parameters, specs)) == 3_504_872
    assert round(sum(map(operations.macs, specs)) / 1e6) == 301


@pytest.mark.parametrize("family", GATED)
def test_a_published_network_is_a_member_with_its_parameters_and_macs(family: str) -> None:
    """MACs are those of convolutions, squeeze-and-excitations and linear layers; V3's paper prints 219."""
    space = Mobilenet(family=family)
    _, parameters, millions = PUBLISHED[family]
    graph = space.graph(published(space), "deploy")
    assert graph.parameters() == parameters
    assert round(graph.macs() / 1e6) == millions


@pytest.mark.parametrize("family", GATED)
def test_a_published_network_computes_on_xnnpack_what_torch_computes(family: str) -> None:
    space = Mobilenet(family=family, resolution=64)
    network = learnt_statistics(Network.untrained(space.graph(published(space), "deploy")))
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    content = lower(network, [(1, 3, 64, 64)])
    model = TfLiteModel(content)
    model.allocate()
    assert model.nodes_outside() == 0
    with torch.inference_mode():
        reference = network(image)
    scale = float(reference.abs().max())
    assert float((run(content, image) - reference).abs().max()) < 1e-4 * scale
    assert scale > 1e-3


def learnt_statistics(network: Network) -> Network:
    """Give normalisations the statistics of some images: without them, activations vanish on the way."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    return network.eval()


def test_widths_of_the_search_graph_are_those_of_imagenet_scaled() -> None:
    """Those of expansions and gates too, which are rounded to multiples of 8 before."""
    whole, half = Mobilenet(family="mobilenet_v3"), Mobilenet(family="mobilenet_v3", channels=16)
    scaled = ("out", "wide", "squeezed", "hidden")
    member = published(whole)
    for large, little in zip(
        whole.graph(member, "deploy").nodes[:-1], half.graph(member).nodes[:-1], strict=True
    ):
        assert large.slot == little.slot
        params, its = dict(large.spec.params), dict(little.spec.params)
        assert [params[name] for name in scaled if name in params] == [
            2 * int(its[name]) for name in scaled if name in its
        ]


@pytest.mark.parametrize("family", GATED)
def test_a_gate_squeezes_what_its_family_squeezes(family: str) -> None:
    space = Mobilenet(family=family)
    nodes = {node.slot: dict(node.spec.params) for node in space.graph(published(space), "deploy").nodes}
    found = [nodes[f"stage{i}.layer{j}"]["squeezed"] for i, j in ((1, 0), (1, 1), (3, 0), (4, 0), (4, 1))]
    # A quarter of 24, 40, 80, 112 and 160; or of 72, 120, 480, 672 and 960, to multiples of 8.
    assert found == {"mnasnet": [6, 10, 20, 28, 40], "mobilenet_v3": [24, 32, 120, 168, 240]}[family]


@pytest.mark.parametrize("family", GATED)
def test_another_family_lists_what_its_architectures_have(family: str) -> None:
    space, rng = small(family), np.random.default_rng(0)
    listed = [(node.slot, node.spec) for node in space.all_nodes("search")]
    seen = {(n.slot, n.spec) for _ in range(1200) for n in space.graph(space.sample(rng)).nodes}
    assert set(listed) == seen
    assert len(listed) == len(seen)


def test_the_layer_after_the_stem_is_added_to_it_where_it_has_its_shape() -> None:
    nodes = {node.slot: node for node in small("mobilenet_v3").graph(small("mobilenet_v3").absent).nodes}
    assert nodes["first.sum"].inputs == ("stem", "first")
    assert nodes["stage0.layer0"].inputs == ("first.sum",)
    assert "first.sum" not in {node.slot for node in small("mnasnet").graph(small("mnasnet").absent).nodes}


def test_a_network_is_deployed_for_other_images_and_classes() -> None:
    space = Mobilenet(family="mobilenet_v3", resolution=96, deploy_classes=7, deploy_image_channels=1)
    nodes = space.graph(published(space), "deploy").nodes
    assert nodes[0].spec.input_shape == (1, 1, 96, 96)
    assert operations.output_shape(nodes[-1].spec) == (1, 7)


def test_a_setting_of_the_deployed_network_is_refused_where_there_is_none() -> None:
    with pytest.raises(ConfigError, match='deploy_classes says nothing where deploy = "search"'):
        Mobilenet(deploy="search", deploy_classes=7)


@pytest.mark.slow
class TestMnasnet(SpaceContract, SpaceInTfLiteContract):
    name = "mobilenet"

    def space(self) -> Mobilenet:
        return Mobilenet(family="mnasnet")


@pytest.mark.slow
class TestMobilenetV3(SpaceContract, SpaceInTfLiteContract):
    name = "mobilenet"

    def space(self) -> Mobilenet:
        return Mobilenet(family="mobilenet_v3")


def test_the_counts_are_those_of_a_chain_worked_by_hand() -> None:
    """Wide throughout, kernel 3, expansion 6, one layer in each stage."""
    space = Mobilenet(layers=1)
    widths, strides = (16, 24, 40, 80, 96, 192, 320), (2, 2, 2, 1, 2, 1)
    size, parameters, macs = 112, 3 * 32 * 9 + 64, 3 * 32 * 9 * 112**2
    parameters += 32 * 9 + 64 + 32 * 16 + 32
    macs += (32 * 9 + 32 * 16) * size**2
    for (c, out), stride in zip(itertools.pairwise(widths), strides, strict=True):
        wide, after = 6 * c, size // stride
        parameters += c * wide + 2 * wide + 9 * wide + 2 * wide + wide * out + 2 * out
        macs += c * wide * size**2 + (9 * wide + wide * out) * after**2
        size = after
    parameters += 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    macs += 320 * 1280 * 7**2 + 1280 * 1000
    graph = space.graph(full(space, width=1, block=BLOCKS.index((3, 6))), "deploy")
    assert (graph.parameters(), graph.macs()) == (parameters, macs)


def test_a_layer_may_be_skipped_only_where_it_keeps_the_shape() -> None:
    stage = (2, 6, 7, 7, 7)
    assert SPACE.choices == (*stage * 5, 2, 6)
    skipped = SPACE.graph(SPACE.absent, "deploy")
    assert [node.slot for node in skipped.nodes] == [
        "stem",
        "first",
        *(f"stage{i}.layer0" for i in range(6)),
        "tail",
        "classifier",
    ]


def test_a_layer_that_keeps_the_shape_is_added_to_its_input() -> None:
    nodes = {node.slot: node for node in SPACE.graph(full(SPACE, width=0, block=0)).nodes}
    assert nodes["stage2.layer1.sum"].inputs == ("stage2.layer0", "stage2.layer1")
    assert nodes["stage2.layer2"].inputs == ("stage2.layer1.sum",)
    assert "stage3.layer0.sum" not in nodes  # stride 1, but another width


@pytest.mark.parametrize(
    ("width", "widths"), [(0, [16, 32, 64, 72, 144, 240]), (1, [24, 40, 80, 96, 192, 320])]
)
def test_a_stage_has_the_width_that_was_chosen(width: int, widths: list[int]) -> None:
    absent = tuple(width if n == 2 else option for n, option in zip(SPACE.choices, SPACE.absent, strict=True))
    assert shapes(SPACE, absent) == [
        (16, 112, 112),
        *((w, size, size) for w, size in zip(widths, (56, 28, 14, 14, 7, 7), strict=True)),
    ]


@pytest.mark.parametrize("resolution", [32, 97, 160, 257])
def test_any_resolution_is_deployed(resolution: int) -> None:
    space = Mobilenet(resolution=resolution)
    *_, last = shapes(space, space.absent)
    size = resolution
    for _ in range(5):
        size = -(-size // 2)
    assert last == (240, size, size)
    assert (
        space.graph(space.absent, "deploy").parameters() == SPACE.graph(SPACE.absent, "deploy").parameters()
    )


def test_the_search_graph_halves_a_small_image_three_times() -> None:
    graph = SPACE.graph(SPACE.absent, "search")
    sizes = [node.spec.input_shape[2] for node in graph.nodes if node.slot.startswith("stage")]
    assert sizes == [32, 32, 16, 8, 8, 4]


def test_stages_of_growth_are_those_of_one_resolution() -> None:
    assert SPACE.stages == (
        tuple(range(5)),
        tuple(range(5, 10)),
        tuple(range(10, 20)),
        tuple(range(20, 27)),
    )


@pytest.mark.parametrize("space", [SPACE, SMALL, *(Mobilenet(family=family) for family in GATED)])
def test_different_architectures_are_different_graphs(space: Mobilenet) -> None:
    for decision, n in enumerate(space.choices):
        base = space.absent
        graphs = {
            space.graph((*base[:decision], option, *base[decision + 1 :]), "deploy") for option in range(n)
        }
        assert len(graphs) == n


def test_what_is_listed_is_what_some_architecture_has() -> None:
    rng = np.random.default_rng(0)
    for scale in ("search", "deploy"):
        listed = {(node.slot, node.spec) for node in SMALL.all_nodes(scale)}
        seen = {
            (node.slot, node.spec)
            for _ in range(3000)
            for node in SMALL.graph(SMALL.sample(rng), scale).nodes
        }
        assert seen == listed


def test_a_restricted_space_lists_what_its_members_have() -> None:
    allowed = [
        (1,),
        (0, 5),
        (SKIP,),
        (0, 1),
        (2,),
        (1, SKIP),
        (0,),
        (3,),
        (4, SKIP),
        (0,),
        (1,),
        (2,),
        (1,),
        (0,),
        (0,),
    ]
    allowed += [(0, 1), (3, 4)]
    space = SMALL.restrict(allowed)
    rng = np.random.default_rng(0)
    listed = {(node.slot, node.spec) for node in space.all_nodes("search")}
    members = [space.sample(rng) for _ in range(1000)]
    assert listed == {(node.slot, node.spec) for member in members for node in space.graph(member).nodes}


def test_soft_paths_mix_the_blocks_of_a_layer_and_take_widths_alone() -> None:
    architecture = (1, 3, SKIP) + (0, 0, 0) * 4 + (0, 5)
    soft = SMALL.soft_graph(architecture)
    by_length: dict[int, int] = {}
    for weights in soft.weights.values():
        by_length[len(weights)] = by_length.get(len(weights), 0) + 1
        assert sum(weights) == pytest.approx(1)
        assert max(weights) == pytest.approx(np.e / (np.e + len(weights) - 1))
    assert by_length == {6: 6, 7: 5}
    widths = {node.spec.input_shape[1] for node in soft.graph.nodes if node.slot.startswith("stage0.layer1")}
    assert widths == {6}  # 24 of 32 channels, an eighth of ImageNet's


def test_a_table_of_the_imagenet_networks_has_some_two_hundred_operations() -> None:
    assert len(SPACE.all_operations("deploy")) == 207


@pytest.mark.parametrize("family", GATED)
def test_the_description_of_another_family_reads_back(family: str) -> None:
    space, rng = Mobilenet(family=family), np.random.default_rng(0)
    for member in (published(space), *(space.sample(rng) for _ in range(20))):
        assert space.from_description(space.describe(member)) == member


def test_a_description_of_another_family_is_refused() -> None:
    described = Mobilenet(family="mobilenet_v3").describe(published(Mobilenet(family="mobilenet_v3")))
    with pytest.raises(ArchitectureError, match="a mobilenet_v2 of mobilenet has 6 stages"):
        SPACE.from_description(described)


@given(MEMBERS)
def test_the_description_reads_back(architecture: tuple[int, ...]) -> None:
    assert SPACE.from_description(SPACE.describe(architecture)) == architecture


def test_a_description_names_widths_and_layers() -> None:
    description: Any = SMALL.describe((1, 3, SKIP) + (0, 0, 0) * 4 + (0, 5))
    assert description["stages"][0] == {"width": 24, "layers": ["k5e6", "skip"]}
    assert description["stages"][5] == {"width": 240, "layers": ["k7e6"]}


def described(**changes: JsonValue) -> dict[str, JsonValue]:
    stages: Any = SMALL.describe(SMALL.absent)["stages"]
    return {"stages": [{**stages[0], **changes}, *stages[1:]]}


@pytest.mark.parametrize(
    "description",
    [
        None,
        [],
        {},
        {"stages": []},
        {"stages": [7] * 6},
        described(width=17),
        described(width="16"),
        described(layers=["k3e3"]),
        described(layers=["k3e3"] * 3),
        described(layers=["skip", "k3e3"]),
        described(layers=None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_malformed_description_is_refused(description: JsonValue) -> None:
    with pytest.raises(ArchitectureError):
        SMALL.from_description(description)


def test_an_unknown_layer_is_answered_with_the_closest_one() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown layer 'k9e6'; did you mean 'k\de6'"):
        SMALL.from_description(described(layers=["k3e3", "k9e6"]))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("family", "mobilenet_v1"),
        ("deploy", "tpu"),
        ("deploy_classes", 1),
        ("resolution", 31),
        ("layers", 0),
        ("layers", 10**9),
        ("channels", 12),
        ("image_size", 7),
        ("stem_stride", 3),
        ("classes", "10"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_its_value(setting: str, value: int | str) -> None:
    with pytest.raises(ConfigError, match=rf"{setting} is .*{value}"):
        Mobilenet(**{setting: value})


@pytest.mark.parametrize("space", [SMALL, *map(small, GATED)], ids=lambda space: space.settings.family)
def test_every_network_trains_in_the_supernet_and_extracts_to_itself(space: Mobilenet) -> None:
    supernet, images = SuperNet(space), torch.randn(4, 3, 16, 16)
    rng = np.random.default_rng(1)
    for architecture in (space.absent, space.sample(rng), space.sample(rng)):
        supernet.train()(images, architecture).square().sum().backward()
        extracted = supernet.extract(architecture).eval()
        with torch.inference_mode():
            assert torch.equal(extracted(images), supernet.eval()(images, architecture))


def test_parameters_by_arithmetic_are_those_of_the_modules() -> None:
    graph = SPACE.graph(SPACE.sample(np.random.default_rng(2)), "deploy")
    assert sum(p.numel() for p in Network.untrained(graph).parameters()) == graph.parameters()


def test_importing_the_space_does_not_import_torch() -> None:
    program = "import cars_hw.spaces.mobilenet, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
