"""Networks as models: stitched together of those of their operations."""
