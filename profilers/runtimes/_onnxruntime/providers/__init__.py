"""ONNX Runtime's execution providers: how one is found, and how what it runs on a card is timed."""
