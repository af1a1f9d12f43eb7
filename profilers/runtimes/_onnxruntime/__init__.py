"""ONNX Runtime on remote devices, and model files for it."""
