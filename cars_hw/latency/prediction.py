"""The latency of one architecture, from the model of a table."""

from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace
from latency_tables import LatencyModel, Prediction


def predict(space: SearchSpace, model: LatencyModel, architecture: Architecture) -> Prediction:
    """Predict the deployed network of ``architecture``, as far as the table's runtime executes it.

    Raises:
        MissingEntryError: The table lacks one of its operations.
    """
    return model.predict(space.deployed(architecture).executed(model.executes).specs())
