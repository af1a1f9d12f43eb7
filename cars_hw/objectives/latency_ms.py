"""The latency of a network on a device, predicted from a table."""

from typing import Self

from cars_hw.latency.prediction import predict
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives._objective import Ingredients, Objective
from cars_hw.spaces._space import SearchSpace
from devices.foundation import ConfigError, UnknownNameError
from latency_tables import LatencyModel, Prediction


class Latency(Objective):
    """Predicted latency of the deployed network in milliseconds.

    Args:
        space: The space of the architectures.
        model: The predictor that was made from the target's table.
        target: The name of what the table was measured on, where a search has several; then the objective's
            name is ``latency_ms.TARGET``.
    """

    pick = "fastest"
    has_targets = True

    def __init__(self, space: SearchSpace, model: LatencyModel, target: str = "") -> None:
        self._space, self._model = space, model
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
            return cls(found.space, models[found.target], found.target)
        if len(models) != 1:
            raise ConfigError(
                f"{cls.name} needs one latency table; the search has {len(models)}"
                + "".join(f", {cls.name}.{target}" for target in models)
            )
        [model] = models.values()
        return cls(found.space, model)

    def __call__(self, architecture: Architecture, /) -> float:
        """Predict from the table.

        Raises:
            MissingEntryError: The table lacks one of the architecture's operations.
        """
        return self.prediction(architecture).latency_s * 1e3

    def prediction(self, architecture: Architecture) -> Prediction:
        """Return the prediction with its interval.

        Raises:
            MissingEntryError: The table lacks one of the architecture's operations.
        """
        return predict(self._space, self._model, architecture)

    def correct(self, model: LatencyModel) -> None:
        """Predict by ``model`` from now on; whoever keeps costs has to ask for them anew."""
        self._model = model
