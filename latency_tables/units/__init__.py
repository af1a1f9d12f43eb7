"""Units: what a runtime really executes of a network, after its own optimisations."""
