"""Whether an exported file says what torch says; a file that does not is never left behind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import checker
from onnx.shape_inference import InferenceError
from torch import Tensor
from torch.nn import functional as F

from xreid_plugin.export.program import INPUTS, OUTPUT, ClipEmbedder, random_clips
from xreid_plugin.files import replace_atomically

CHECKED_BATCHES = (1, 2, 5)
# Between the numbers of rows of length 1. Both sides compute in float32 and sum in different orders.
TOLERANCE = 1e-5
# Of onnxruntime's messages those for its users; the rest is for its developers.
_ERROR = 3


class CheckError(Exception):
    """The file's embeddings are not torch's."""


class Agreement(NamedTuple):
    """How close the two are on a batch.

    Attributes:
        clips: B.
        difference: the largest between two numbers, in rows that are scaled so that torch's have length 1.
        cosine: the lowest between two rows.
    """

    clips: int
    difference: float
    cosine: float


class Runtime:
    """An exported file in onnxruntime, on the CPU, with as many threads as torch has."""

    def __init__(self, file: Path) -> None:
        """
        Args:
            file: the exported file.
        """
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

    def __call__(self, images: Tensor, cameras: Tensor) -> Tensor:
        """(B, T, 3, H, W) uint8 and (B,) int64 to (B, F) float32."""
        inputs = dict(zip(INPUTS, (images.numpy(), cameras.numpy()), strict=True))
        embeddings: NDArray[np.float32] = self.session.run([OUTPUT], inputs)[0]
        return torch.from_numpy(embeddings)


def write_checked(
    program: torch.onnx.ONNXProgram,
    embedder: ClipEmbedder,
    target: Path,
    clip: tuple[int, tuple[int, int]],
    cameras: Sequence[int],
    tolerance: float = TOLERANCE,
) -> list[Agreement]:
    """Writes one file, weights included; under its name only once it has been checked.

    Args:
        program: the embedder's ONNX program.
        embedder: the module that the file must agree with.
        target: the file to make or replace.
        clip: T and (H, W).
        cameras: the cameras that have an embedding.
        tolerance: the greatest :attr:`Agreement.difference` allowed.

    Returns:
        For each of CHECKED_BATCHES.

    Raises:
        CheckError: the file is not valid ONNX, or disagrees; ``target`` is as it was.
        OSError: the disk refuses.
    """
    found: list[Agreement] = []

    def write(part: Path) -> None:
        program.save(str(part), external_data=False)
        _check_valid(part)
        found.extend(compare(embedder, Runtime(part), clip, cameras))
        for agreement in found:
            # Not the reverse comparison, which NaN would pass.
            if not agreement.difference <= tolerance:
                raise CheckError(
                    f"A batch of {agreement.clips} differs from torch by {agreement.difference:.2g}, and "
                    f"{tolerance:g} is allowed; {target} was not written."
                )

    replace_atomically(target, write)
    return found


def compare(
    embedder: ClipEmbedder, runtime: Runtime, clip: tuple[int, tuple[int, int]], cameras: Sequence[int]
) -> list[Agreement]:
    """Runs both on clips of noise, of known and unseen cameras; see :func:`write_checked`."""
    found = []
    for count in CHECKED_BATCHES:
        inputs = random_clips(count, *clip, seed=count), _cameras(count, cameras)
        with torch.inference_mode():
            expected = embedder(*inputs)
        found.append(_agreement(expected, runtime(*inputs)))
    return found


def _agreement(expected: Tensor, actual: Tensor) -> Agreement:
    # In float64, so that no cosine seems to exceed 1.
    expected, actual = expected.double(), actual.double()
    difference = ((actual - expected) / expected.norm(dim=1, keepdim=True)).abs().max()
    return Agreement(len(expected), difference.item(), F.cosine_similarity(expected, actual).min().item())


def _cameras(count: int, known: Sequence[int]) -> Tensor:
    """The lowest known camera, one below and one above all, then the other known ones; repeated if necessary."""
    first, last = min(known, default=0), max(known, default=0)
    numbers = [first, first - 1, last + 1, *sorted(set(known) - {first})]
    return torch.tensor([numbers[place % len(numbers)] for place in range(count)])


def _check_valid(file: Path) -> None:
    try:
        checker.check_model(str(file), full_check=True)
    except (checker.ValidationError, InferenceError) as error:
        raise CheckError(f"The file would not be valid ONNX: {error}") from error
