"""What was measured: pure data. Imports no machine-learning framework and no hardware."""
