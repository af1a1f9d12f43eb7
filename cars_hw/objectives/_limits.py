"""Limits: costs that an architecture may have at most, as one violation."""

from collections.abc import Mapping, Sequence

from devices.foundation import ConfigError


class Limits:
    """The constraints cost <= limit, as a total violation for Deb's rules: the sum of the relative excesses.

    Args:
        names: Names of the objectives of the search, in the order of its costs.
        limits: Largest allowed cost, by the name of each objective that has a limit.

    Raises:
        ConfigError: The search does not have a cost that is limited, or a limit is not positive.
    """

    def __init__(self, names: Sequence[str], limits: Mapping[str, float]) -> None:
        for name, limit in limits.items():
            if name not in names:
                raise ConfigError(
                    f"{name} has a limit, but the search does not minimise it (its costs: {', '.join(names)})"
                )
            if not limit > 0:
                raise ConfigError(f"the limit of {name} is {limit}; a limit is positive")
        self._by_name = dict(limits)
        self._limits = {list(names).index(name): limit for name, limit in limits.items()}

    def __repr__(self) -> str:
        return f"Limits({', '.join(f'{name} <= {limit:g}' for name, limit in self._by_name.items())})"

    def __call__(self, costs: tuple[float, ...]) -> float:
        """Return 0 where ``costs`` are within all limits, else the sum of their relative excesses.

        Of a candidate, ``Candidate.limited`` is what limits are held against.
        """
        return sum(max(0.0, costs[i] / limit - 1.0) for i, limit in self._limits.items())
