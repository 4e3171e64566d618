"""A trained model as one ONNX file, for places without this plugin, its host and torch; see docs/deployment.md."""
