"""Networks as a counter of executed units reads them."""
