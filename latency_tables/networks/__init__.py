"""Latencies of networks from a few whole networks alone: which to measure, and what follows from them."""
