"""TFLite's program ``benchmark_model``, and what its several versions write."""
