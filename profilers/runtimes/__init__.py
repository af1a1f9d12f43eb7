"""Software that executes networks: one file per runtime."""
