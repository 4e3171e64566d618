"""A trained model as one ONNX file, for places without this plugin, its host and torch; see docs/deployment.md."""

import importlib.util

LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


def check_libraries() -> None:
    """Looks for what only the export needs; its modules import them at their heads.

    Raises:
        ValueError: one is not installed; names the command that installs them.
    """
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"The export needs {', '.join(missing)}: pip install {' '.join(LIBRARIES)}")
