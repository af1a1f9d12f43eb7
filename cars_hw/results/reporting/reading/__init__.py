"""Runs read for a page: what their folders hold, as the plain values that a page shows."""
