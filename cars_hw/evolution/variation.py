"""New architectures: mutation, crossover and uniform random ones, all distinct.

``PAPER`` is the recipe of CARS (CVPR 2020, arXiv 1909.04977, "Evolution Details"): a quarter each by mutation
and crossover, half random; a node of a cell, here a group, changes with probability 0.5.
"""

import itertools
import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace

#: Which groups a mutation draws anew: each with probability 0.5, or one alone.
MutatedGroups = Literal["half", "one"]

#: Draws per architecture that is wanted, before fewer are returned.
_TRIES = 16


@dataclass(frozen=True)
class Recipe:
    """How offspring are made.

    Attributes:
        mutation_share: Share by mutation of a member.
        crossover_share: Share by crossover of two; with the other at most 1. The rest is uniformly random.
        mutated_groups: Which groups of decisions a mutation draws anew.
    """

    mutation_share: float
    crossover_share: float
    mutated_groups: MutatedGroups


PAPER = Recipe(0.25, 0.25, "half")


def crossover(
    first: Architecture,
    second: Architecture,
    *,
    space: SearchSpace,
    rng: np.random.Generator,
    rate: float = 0.5,
) -> Architecture:
    """Return ``first`` with each group of decisions taken from ``second`` with probability ``rate``."""
    child = list(first)
    for group in space.groups:
        if rng.random() < rate:
            for decision in group:
                child[decision] = second[decision]
    return tuple(child)


def mutate(
    parent: Architecture, space: SearchSpace, *, rng: np.random.Generator, rate: float = 0.5
) -> Architecture:
    """Return ``parent`` with each group of decisions drawn anew, as a whole, with probability ``rate``."""
    return crossover(parent, space.sample(rng), space=space, rng=rng, rate=rate)


def mutate_one(parent: Architecture, space: SearchSpace, *, rng: np.random.Generator) -> Architecture:
    """Return ``parent`` with one group of decisions, any with equal probability, drawn anew as a whole."""
    group = space.groups[rng.integers(len(space.groups))]
    child, fresh = list(parent), space.sample(rng)
    for decision in group:
        child[decision] = fresh[decision]
    return tuple(child)


def offspring(
    members: Sequence[Architecture],
    space: SearchSpace,
    *,
    n: int,
    rng: np.random.Generator,
    recipe: Recipe = PAPER,
) -> list[Architecture]:
    """Draw ``n`` distinct architectures that are not among ``members``.

    Each is made by ``recipe``: the mutation of a random member, the crossover of two, or uniformly random.
    What exists already is drawn again; when that keeps failing, the missing ones are uniformly random.

    Returns:
        Fewer than ``n`` where the space has no more.
    """
    n = max(0, min(n, space.size() - len(set(members))))
    known = set(members)
    children: list[Architecture] = []
    for _ in range(_TRIES * n):
        if len(children) == n:
            break
        child = _child(members, space, rng=rng, recipe=recipe)
        if child not in known:
            known.add(child)
            children.append(child)
    return children + distinct(space, n - len(children), rng=rng, exclude=known)


def distinct(
    space: SearchSpace, n: int, *, rng: np.random.Generator, exclude: AbstractSet[Architecture] = frozenset()
) -> list[Architecture]:
    """Draw ``n`` distinct architectures uniformly from those of the space that ``exclude`` does not hold.

    Returns:
        Fewer than ``n`` where the space has no more.
    """
    if space.size() <= 4 * (n + len(exclude)):
        unseen = [option for option in itertools.product(*space.allowed) if option not in exclude]
        return [unseen[i] for i in rng.permutation(len(unseen))[:n]]
    found: dict[Architecture, None] = {}
    for _ in range(_TRIES * n):
        if len(found) == n:
            break
        architecture = space.sample(rng)
        if architecture not in exclude:
            found[architecture] = None
    return list(found)


def covering(space: SearchSpace, *, rng: np.random.Generator) -> list[Architecture]:
    """Draw architectures that together have every option of every decision, as equally often as may be.

    X. Chu, B. Zhang, R. Xu, "FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural
    Architecture Search", ICCV 2021, arXiv 1907.01845, "strict fairness": each option once. There are as many
    as the decision with the most options has; one with fewer has some of its options once more than others,
    drawn at random.
    """
    n = max(map(len, space.allowed))
    columns = []
    for options in space.allowed:
        rounds = [rng.permutation(options) for _ in range(math.ceil(n / len(options)))]
        columns.append(rng.permutation(np.concatenate(rounds)[:n]).tolist())
    return list(zip(*columns, strict=True))


def _child(
    members: Sequence[Architecture], space: SearchSpace, *, rng: np.random.Generator, recipe: Recipe
) -> Architecture:
    """Draw one architecture by ``recipe``; it may exist already."""
    draw = rng.random()
    a, b = (members[i] for i in rng.integers(len(members), size=2))
    if draw < recipe.mutation_share:
        is_one = recipe.mutated_groups == "one"
        return mutate_one(a, space, rng=rng) if is_one else mutate(a, space, rng=rng)
    if draw < recipe.mutation_share + recipe.crossover_share:
        return crossover(a, b, space=space, rng=rng)
    return space.sample(rng)
