"""The latency of a network on a device, predicted from a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Self

from cars_hw.latency.estimates import OperationSums
from cars_hw.latency.prediction import Predictor, UnitPredictor
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives._objective import LIMIT_LEVEL, Ingredients, Objective
from devices.foundation import ConfigError, UnknownNameError
from latency_tables import Prediction


class Latency(Objective):
    """Predicted latency of the deployed network in milliseconds.

    Args:
        predictor: Made from the target's table, for the space that is searched.
        target: The name of what the table was measured on, where a search has several; then the objective's
            name is ``latency_ms.TARGET``.
        limit_level: Level of the interval whose upper end a limit is held against; 0: the prediction itself.

    Attributes:
        predictor: The same.

    Raises:
        ConfigError: ``limit_level`` is not from 0 to below 1.
    """

    pick = "fastest"
    has_targets = True

    def __init__(self, predictor: Predictor, target: str = "", *, limit_level: float = LIMIT_LEVEL) -> None:
        if not 0 <= limit_level < 1:
            raise ConfigError(f"limit_level is {limit_level!r:.80}; it is from 0 to below 1, as 0.9")
        self._limit_level = limit_level
        self.bound_text = bound_text(limit_level)
        self._latest: tuple[Architecture, Prediction] | None = None
        self.correct(predictor)
        if target:
            self.name = f"{type(self).name}.{target}"

    @classmethod
    def make(cls, found: Ingredients) -> Self:
        """Make the objective of the target that is asked for, or of the only one that there is.

        Raises:
            ConfigError: There is no target, or there are several and none is asked for.
            UnknownNameError: There is no such target.
        """
        models = found.latency_models
        if found.target:
            if found.target not in models:
                raise UnknownNameError("latency target", found.target, models)
            return cls(models[found.target], found.target, limit_level=_level(found, found.target))
        if len(models) != 1:
            raise ConfigError(
                f"{cls.name} needs one latency table; the search has {len(models)}"
                + "".join(f", {cls.name}.{target}" for target in models)
            )
        [(target, model)] = models.items()
        return cls(model, limit_level=_level(found, target))

    def __call__(self, architecture: Architecture, /) -> float:
        """Predict from the table.

        Raises:
            MissingEntryError: The table lacks one of the architecture's operations.
            ProfilingError: The table's runtime does not execute it.
        """
        return self.prediction(architecture).latency_s * 1e3

    def prediction(self, architecture: Architecture) -> Prediction:
        """Return the prediction with its interval.

        Raises:
            MissingEntryError: The table lacks one of the architecture's operations.
            ProfilingError: The table's runtime does not execute it.
        """
        if self._latest is None or self._latest[0] != architecture:
            self._latest = architecture, self.predictor.predict(architecture)
        return self._latest[1]

    def bound(self, architecture: Architecture, cost: float, /) -> float:
        """Return the upper end of the prediction's interval, in milliseconds.

        Raises:
            MissingEntryError: The table lacks one of the architecture's operations.
            ProfilingError: The table's runtime does not execute it.
        """
        if not self._limit_level:
            return cost
        return self.prediction(architecture).interval_at(self._limit_level)[1] * 1e3

    def prepare(self, architectures: Sequence[Architecture], /) -> None:
        """Count what is executed of ``architectures``, where networks are predicted by that.

        Raises:
            ProfilingError: The table's runtime does not execute one.
            DeviceError: The table's device would have to be asked, and cannot be.
        """
        if isinstance(self.predictor, UnitPredictor):
            self.predictor.count_each(architectures)

    def correct(self, predictor: Predictor) -> None:
        """Predict by ``predictor`` from now on; whoever keeps costs has to ask for them anew."""
        self.predictor = predictor
        self._latest = None
        self._sums = OperationSums(predictor) if isinstance(predictor, UnitPredictor) else None

    def estimator(self, known: Mapping[Architecture, float], /) -> Callable[[Architecture], float]:
        """Return a sum over operations, corrected by ``known``, where networks are predicted by units.

        By a table of operations or of networks, the cost itself takes no longer.
        """
        if self._sums is None:
            return self
        estimate_s = self._sums.corrected({one: cost_ms / 1e3 for one, cost_ms in known.items()})
        return lambda architecture: estimate_s(architecture) * 1e3


def bound_text(limit_level: float) -> str:
    """Say what a limit is held against at a level; nothing where it is the latency itself."""
    return f"the upper end of its {limit_level * 100:.4g} % interval" if limit_level else ""


def _level(found: Ingredients, target: str) -> float:
    return found.limit_levels.get(target, LIMIT_LEVEL)
