"""TFLite on this machine and on remote ones."""
