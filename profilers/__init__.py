"""How to measure: runtimes, the policy of measuring, and the lowering that export uses too."""
