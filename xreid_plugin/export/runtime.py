"""Running an exported file with onnxruntime, on the CPU."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xreid_plugin.export.libraries import library
from xreid_plugin.export.translation import INPUTS, OUTPUT

# Errors only: the rest is for developers of onnxruntime.
_ERROR = 3


class Runtime:
    """An exported file, ready to run, with as many threads as torch has."""

    def __init__(self, file: Path) -> None:
        """
        Args:
            file: the exported file.

        Raises:
            ExportError: onnxruntime is not installed.
        """
        onnxruntime = library("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERROR
        # Threads that spin while they wait for work slow down torch's, which are measured in turn.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session: Any = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    @property
    def metadata(self) -> dict[str, str]:
        """``metadata_props`` of the file."""
        found: dict[str, str] = self.session.get_modelmeta().custom_metadata_map
        return found

    def __call__(self, images: torch.Tensor, cameras: torch.Tensor) -> torch.Tensor:
        """(B, T, 3, H, W) uint8 and (B,) int64 to (B, F) float32."""
        inputs = dict(zip(INPUTS, (images.numpy(), cameras.numpy()), strict=True))
        embeddings: NDArray[np.float32] = self.session.run([OUTPUT], inputs)[0]
        return torch.from_numpy(embeddings)
