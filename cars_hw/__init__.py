"""Hardware-aware neural architecture search with measured latency tables. Importing this does not import torch."""

__version__ = "0.1.0"
