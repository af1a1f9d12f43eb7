"""Hardware-aware neural architecture search with measured latency tables. Imports no torch."""

__version__ = "0.1.0"
