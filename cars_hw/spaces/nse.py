"""The space of NSE: a chain of layers, each the mean of any few of 19, 27 or 72 operations.

Y. Ci, C. Lin, M. Sun, B. Chen, H. Zhang, W. Ouyang, "Evolving Search Space for Neural Architecture Search",
ICCV 2021, arXiv 2011.10904, and its released code.

Differs from the published space, so that every tuple of options is a network: a layer that changes the shape
has the first operation where it has no other, and of more than ``max_branches`` branches a layer has the
first ones. Neither is ever sampled. Activations are ReLU throughout.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, JsonValue

from cars_hw.errors import ArchitectureError
from cars_hw.networks.architecture import Architecture, checked
from cars_hw.networks.graph import Graph, Node, SoftGraph, soft_weights
from cars_hw.spaces._multibranch import OPERATIONS, BranchNetwork, Plan
from cars_hw.spaces._published import require_known
from cars_hw.spaces._space import BranchSet, ImageSettings, Scale, SearchSpace


@dataclass(frozen=True)
class _Variant:
    """A published setting.

    Attributes:
        plan: The layers.
        widths: Channels before they are multiplied.
        multiplier: Factor on the final network's widths.
    """

    plan: Plan
    widths: tuple[int, ...]
    multiplier: float


_NER = ("RRRERE", (1, 3, 3, 3, 3, 3, 0))
_NR = ("RRRR", (1, 3, 3, 7, 3))
_NER_WIDTHS = (16, 24, 40, 80, 96, 192, 320)
_VARIANTS = {
    "nsenet-27": _Variant(Plan(OPERATIONS[27], *_NER), _NER_WIDTHS, 1.04),
    "nsenet": _Variant(Plan(OPERATIONS[72], *_NER), _NER_WIDTHS, 1.045),
    "nsenet-gpu": _Variant(Plan(OPERATIONS[19], *_NR), (16, 32, 64, 128, 256), 1.0),
}
_TAIL = 1024
#: A sampled layer has at most so many branches; the published networks have 1.6 on average.
_SAMPLED_BRANCHES = 3


class NseSettings(ImageSettings):
    """Settings of the space of branches.

    Attributes:
        variant: The published setting: "nsenet-27", "nsenet" (72 operations) or "nsenet-gpu" (19).
        deploy: The network that is deployed: "imagenet" (the variant's widths times its multiplier,
            3x224x224, 1000 classes), or "search" (the search graph itself).
        channels: Channels of the search graph's first layer. The others grow in proportion.
        stages: Widths that are kept, at most; fewer make a smaller space, at both scales.
        depth: Layers after a change of width that are kept, at most.
        max_branches: Branches of a layer, at most; the published networks have up to 5.
        image_size: Height and width of the search graph's images.
        stem_stride: Stride of its first convolution.
    """

    variant: Literal["nsenet-27", "nsenet", "nsenet-gpu"] = "nsenet-27"
    deploy: Literal["imagenet", "search"] = "imagenet"
    channels: int = Field(16, ge=2, le=256, multiple_of=2)
    stages: int = Field(7, ge=1, le=7)
    depth: int = Field(7, ge=0, le=7)
    max_branches: int = Field(5, ge=1, le=72)
    image_size: int = Field(32, ge=4, le=512)
    stem_stride: int = Field(1, ge=1, le=2)


class Nse(SearchSpace):
    """A chain of layers; for each layer and operation there is one decision: whether it is a branch there.

    A group is a layer. ``sample`` draws 0 to 3 distinct branches for a layer that may have none, else 1 to 3,
    all numbers equiprobable, then all operations.

    The settings are those of ``NseSettings``.
    """

    settings: NseSettings

    def __init__(self, /, **settings: object) -> None:
        super().__init__(**settings)
        asked = self.settings
        self.image_shape = asked.shape_of_images(asked.image_size)
        self.classes = asked.classes
        self.deploys_search_graph = asked.deploy == "search"
        published = _VARIANTS[asked.variant]
        self.plan = published.plan.shortened(stages=asked.stages, depth=asked.depth)
        self.max_branches = min(asked.max_branches, len(self.plan.operations))
        self._describe_decisions()
        proportion = asked.channels / published.widths[0]
        kept = published.widths[: len(self.plan.repeats)]
        widths = tuple(_divisible(width * proportion, 2) for width in (*kept, _TAIL))
        search = BranchNetwork(self.plan, widths, self.image_shape, self.classes, asked.stem_stride)
        scaled = tuple(_divisible(width * published.multiplier, 8) for width in kept)
        imagenet = BranchNetwork(self.plan, (*scaled, _TAIL), (3, 224, 224), 1000, stem_stride=2)
        self._networks: dict[Scale, BranchNetwork] = {
            "search": search,
            "deploy": search if self.deploys_search_graph else imagenet,
        }

    def _describe_decisions(self) -> None:
        n = len(self.plan.operations)
        layers = self.plan.layers
        self.choices = (2,) * (len(layers) * n)
        self.groups = tuple(tuple(range(i * n, (i + 1) * n)) for i in range(len(layers)))
        self.branch_sets = tuple(
            BranchSet(group, fewest=0 if layer.joins_input else 1, most=self.max_branches)
            for group, layer in zip(self.groups, layers, strict=True)
        )
        widths = range(len(self.plan.repeats))
        by_width = (
            [d for d in range(len(self.choices)) if layers[d // n].width == width] for width in widths
        )
        self.stages = tuple(tuple(decisions) for decisions in by_width if decisions)

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        return Graph(self._networks[scale].nodes(self.branches(architecture)))

    def branches(self, architecture: Architecture) -> tuple[tuple[int, ...], ...]:
        """Return the indices of the operations that each layer of ``architecture`` has, ascending.

        Raises:
            ArchitectureError: It is no member of the space.
        """
        options = checked(architecture, self.choices)
        chosen = (tuple(i for i, d in enumerate(each.decisions) if options[d]) for each in self.branch_sets)
        return tuple(
            indices[: each.most] or (0,) * each.fewest
            for indices, each in zip(chosen, self.branch_sets, strict=True)
        )

    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        possible = [self._possible(each) for each in self.branch_sets]
        yield from self._networks[scale].all_nodes(
            [indices for indices, _ in possible], [counts for _, counts in possible]
        )

    def _possible(self, layer: BranchSet) -> tuple[list[int], range]:
        """Return the operations that an allowed architecture has in ``layer``, and how many at once."""
        allowed = [self.allowed[decision] for decision in layer.decisions]
        n_forced = 0
        indices = []
        for i, options in enumerate(allowed):
            if 1 in options and n_forced < layer.most:
                indices.append(i)
            n_forced += options == (1,)
        if not n_forced and layer.fewest and 0 not in indices:
            indices.insert(0, 0)  # what the layer has where all its decisions are 0
        n = sum(1 in options for options in allowed)
        return indices, range(min(max(n_forced, layer.fewest), layer.most), min(n, layer.most) + 1)

    def decode(self, scores: Sequence[Sequence[float]]) -> Architecture:
        """Return the branches whose "yes" beats their "no" by most, as many as each layer may have."""
        margins = [yes - no for no, yes in scores]
        architecture = [0] * len(self.choices)
        for layer in self.branch_sets:
            free = [d for d in layer.decisions if 1 in self.allowed[d]]
            ranked = sorted(free, key=lambda d: margins[d], reverse=True)
            n = min(max(sum(margins[d] > 0 for d in free), layer.fewest), layer.most)
            for decision in ranked[:n]:
                architecture[decision] = 1
        return tuple(architecture)

    def soft_graph(self, architecture: Architecture) -> SoftGraph:
        """Return the search supergraph in which all allowed branches of a layer are mixed.

        A branch weighs as much as its decision's softmax of a row with a one at its option: e / (e + 1) where
        the architecture has it, 1 / (e + 1) where not; the input weighs as a branch that it has. Weights of a
        layer are divided by their sum.
        """
        chosen = self.branches(architecture)
        off, on = soft_weights(2, 1)
        return self._networks["search"].soft_graph(
            [
                {i: 1.0 if i in indices else off / on for i in self._possible(layer)[0]}
                for indices, layer in zip(chosen, self.branch_sets, strict=True)
            ]
        )

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw few branches for each layer, as the class says, among the allowed ones."""
        architecture = [options[0] for options in self.allowed]
        for layer in self.branch_sets:
            free = [d for d in layer.decisions if self.allowed[d] == (0, 1)]
            forced = sum(architecture[d] for d in layer.decisions)
            most = min(_SAMPLED_BRANCHES, layer.most, forced + len(free))
            n = int(rng.integers(min(layer.fewest, most), most + 1)) if most > forced else forced
            for i in rng.permutation(len(free))[: max(0, n - forced)]:
                architecture[free[i]] = 1
        return tuple(architecture)

    def describe(self, architecture: Architecture) -> dict[str, JsonValue]:
        return {
            "code": [list(indices) for indices in self.branches(architecture)],
            "alloc_space": list(self.plan.repeats),
        }

    def from_description(self, description: JsonValue) -> Architecture:
        match description:
            case {"code": list(code), "alloc_space": list(repeats), **others}:
                require_known(others, ("code", "alloc_space"), "the description")
                return self._from_code(code, repeats)
        raise ArchitectureError(
            "an NSE network has the keys code, the branches of each layer, and alloc_space, the number of "
            "layers after each change of width"
        )

    def _from_code(self, code: Sequence[object], repeats: Sequence[object]) -> Architecture:
        """Read a published code, which leaves out layers without branches and says so in ``repeats``."""
        remaining = self._repeats(repeats)
        architecture: list[int] = []
        given = iter(code)
        for layer in self.plan.layers:
            indices: object = []
            if not layer.joins_input or remaining[layer.width]:
                remaining[layer.width] -= layer.joins_input
                indices = next(given, None)
            architecture += self._options(indices, may_be_empty=layer.joins_input)
        if next(given, None) is not None:
            raise ArchitectureError(f"the code has more layers than alloc_space {list(repeats)!r:.80} says")
        return tuple(architecture)

    def _repeats(self, repeats: Sequence[object]) -> list[int]:
        found = [n for n in repeats if isinstance(n, int)]
        found += [0] * (len(self.plan.repeats) - len(found))
        within = [0 <= n <= most for n, most in zip(found, self.plan.repeats, strict=False)]
        if len(within) != max(len(found), len(repeats)) or not all(within):
            raise ArchitectureError(
                f"alloc_space is {list(repeats)!r:.80}; this space has at most {list(self.plan.repeats)}"
            )
        return found

    def _options(self, indices: object, *, may_be_empty: bool) -> list[int]:
        n = len(self.plan.operations)
        match indices:
            case list() if (
                all(isinstance(i, int) and 0 <= i < n for i in indices)
                and len(set(indices)) == len(indices) <= self.max_branches
                and (indices or may_be_empty)
            ):
                return [int(i in indices) for i in range(n)]
        raise ArchitectureError(
            f"{indices!r:.64} is no layer: it has distinct operations of 0..{n - 1}, at most "
            f"{self.max_branches}{'' if may_be_empty else ', and at least one here'}"
        )


def _divisible(width: float, divisor: int) -> int:
    """Round to a multiple of ``divisor``, halves up."""
    return max(divisor, int(width + divisor / 2) // divisor * divisor)
