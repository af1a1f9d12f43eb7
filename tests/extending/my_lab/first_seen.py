"""A search algorithm, in one file: keeps the first ones that it sees."""

from collections.abc import Sequence

from pydantic import Field

from cars_hw.candidate import Candidate
from cars_hw.networks.architecture import Architecture
from cars_hw.strategies import Strategy
from devices.foundation import Settings


class FirstSeenSettings(Settings):
    """Settings of the algorithm.

    Attributes:
        population_size: How many it keeps.
    """

    population_size: int = Field(4, ge=1)


class FirstSeen(Strategy):
    """Draws once, evaluates the same ones ever after."""

    settings: FirstSeenSettings

    def to_train(self) -> Sequence[Architecture]:
        return [self.space.sample(self.rng)]

    def ask(self) -> Sequence[Architecture]:
        if self.population:
            return [member.architecture for member in self.population]
        wanted = min(self.settings.population_size, self.space.size())
        drawn: dict[Architecture, None] = {}
        while len(drawn) < wanted:
            drawn[self.space.sample(self.rng)] = None
        return list(drawn)

    def tell(self, evaluated: Sequence[Candidate]) -> None:
        self.ranking(evaluated)  # refuses costs that cannot be ranked
        unique = {candidate.architecture: candidate for candidate in evaluated}
        self.population = tuple(unique.values())[: self.settings.population_size]
