"""A trained checkpoint, for videos of people: tracklets to embeddings, as evaluation makes them.

    predictor = TrackletPredictor("logs/xreid/vcm/model_final.pth")
    embeddings = predictor.embed(["tracklets/0001", TrackletInput(VideoTracklet("a.mp4", "a.csv"), camera=3)])
    similarity = embeddings @ embeddings.T        # cosines, -1 to 1

A tracklet whose camera is unknown, or was not in training, is embedded without camera embedding, as evaluation does
where MODEL.BACKBONE.UNSEEN_CAMERA is "none"; :meth:`TrackletPredictor.knows_camera` says which.
"""

import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from fastreid.config import CfgNode
from numpy.typing import NDArray
from torch.nn import functional as F

from xreid_plugin.data import frames
from xreid_plugin.data.footage import Footage, FrameSource, TrackletInput, VideoTracklet, open_tracklet
from xreid_plugin.data.frame_reader import FrameReader
from xreid_plugin.data.tracklet import CAMIDS, IMAGES, Tracklet
from xreid_plugin.data.transforms import to_planes
from xreid_plugin.engine.checkpoints import TRAINING_ONLY
from xreid_plugin.engine.evaluation import NO_CAMERA
from xreid_plugin.engine.inference import Embedder, autocast
from xreid_plugin.engine.restore import restore
from xreid_plugin.evaluation.evaluator import tracklet_means
from xreid_plugin.host import resolve_device
from xreid_plugin.modeling.fingerprint import fingerprint, weights_hash


class TrackletPredictor:
    """Embeds tracklets with a trained model; any number of threads may share one predictor.

    Frames are read in the caller's thread, the model runs in one thread at a time.

    Attributes:
        cfg: the configuration that the model was built from, frozen.
        checkpoint: the file of its weights.
        device: where it runs.
        cameras: numbers of the cameras that have an embedding, ascending; empty where the model uses none.
        dimensions: F.
    """

    def __init__(self, source: str | Path | CfgNode, device: str = "auto", settings: Sequence[str] = ()) -> None:
        """
        Args:
            source: a checkpoint of a training run, which carries its configuration; or a configuration or the file of
                one (.yml, .yaml), whose MODEL.WEIGHTS, or else the last checkpoint in OUTPUT_DIR, is loaded.
            device: "auto" for the GPU where there is one, or any of torch's names.
            settings: key, value, key, value: they override what the source says, such as TEST.FRAMES, dense.

        Raises:
            OSError: a file is not there.
            ValueError: a checkpoint is damaged, is not of this configuration or carries none; a bad device;
                unknown keys, bad values.
        """
        self.device = resolve_device(device)
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f'The device is "{device}", but torch finds no GPU here; give cpu or auto.')
        restored = restore(source, str(self.device), settings)
        self.cfg, self._model, self.checkpoint = restored
        self.cameras, cfg = restored.cameras, restored.cfg
        if cfg.TEST.FRAMES not in ("even", "dense"):
            raise ValueError(f'TEST.FRAMES is "{cfg.TEST.FRAMES}"; it must be "even" or "dense".')
        self._embedder = Embedder(self._model, cfg.TEST.FLIP.ENABLED, autocast(cfg))
        self._one_at_a_time = threading.Lock()
        self._size: tuple[int, int] = tuple(cfg.INPUT.SIZE_TEST)
        blank = torch.zeros((1, cfg.INPUT.CLIP.FRAMES, 3, *self._size), dtype=torch.uint8)
        self.dimensions = int(self._run(blank, [None]).shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that say which model this is: its weights, and what else its embeddings depend on."""
        return fingerprint(weights_hash(self._model, TRAINING_ONLY), self.cfg)

    def knows_camera(self, camera: int | None) -> bool:
        """Whether a tracklet of this camera is embedded with the camera's embedding, and not without any."""
        return camera in self.cameras

    def embed(
        self, tracklets: Sequence[FrameSource | Tracklet | TrackletInput], reader: FrameReader | None = None
    ) -> NDArray[np.float32]:
        """Embeds tracklets of any lengths, by TEST.FRAMES and in batches of TEST.IMS_PER_BATCH clips.

        Args:
            tracklets: n of them. A dataset's ``Tracklet`` brings its camera, a bare source of frames has none.
            reader: the source of the frames of datasets' tracklets; None reads loose files.

        Returns:
            (n, F) float32, rows of length 1: what evaluation ranks by, up to rounding that depends on the size of a
            batch.

        Raises:
            FrameError: a file is missing or is not a picture.
            ValueError: a tracklet's frames cannot be read, with its number, or an embedding is not finite.
        """
        if isinstance(tracklets, str | Path | VideoTracklet | TrackletInput | Tracklet):
            raise ValueError("embed takes a list of tracklets; put a single one into a list.")
        inputs = [open_tracklet(tracklet, number, reader) for number, tracklet in enumerate(tracklets)]
        if not inputs:
            return np.empty((0, self.dimensions), np.float32)
        indices, embeddings = [], []
        for clips, of_clips in self._batches([footage for footage, _ in inputs]):
            indices.append(torch.tensor(of_clips))
            embeddings.append(self._run(clips, [inputs[index][1] for index in of_clips]))
        means = tracklet_means(list(zip(indices, embeddings, strict=True)), len(inputs))
        finite = means.isfinite().all(1)
        if not finite.all():
            name = inputs[int((~finite).nonzero()[0])][0].name
            raise ValueError(f"The embedding of {name} is not finite: look for NaN in {self.checkpoint}.")
        rows: NDArray[np.float32] = F.normalize(means).numpy()
        return rows

    def _batches(self, footages: Sequence[Footage]) -> Iterator[tuple[torch.Tensor, list[int]]]:
        """Clips of all tracklets, (B, T, 3, H, W), with the number of each one's tracklet."""
        num_frames, size = self.cfg.INPUT.CLIP.FRAMES, max(1, self.cfg.TEST.IMS_PER_BATCH)
        numbers: list[int] = []
        block = torch.empty((size, num_frames, 3, *self._size), dtype=torch.uint8)
        for number, footage in enumerate(footages):
            if self.cfg.TEST.FRAMES == "dense":
                rows = frames.dense(footage.length, num_frames)
            else:
                rows = frames.even(footage.length, num_frames)[None]
            for clip in footage.clips(rows, self._size):
                to_planes(clip, block[len(numbers)])
                numbers.append(number)
                if len(numbers) == size:
                    yield block, numbers
                    numbers = []
        if numbers:
            yield block[: len(numbers)], numbers

    def _run(self, clips: torch.Tensor, cameras: Sequence[int | None]) -> torch.Tensor:
        """The embeddings of a batch, (B, F) float32 on the CPU."""
        numbers = torch.tensor([camera if camera in self.cameras else NO_CAMERA for camera in cameras])
        # Threads had better not share autocast's context and the allocator of a GPU.
        with self._one_at_a_time, torch.inference_mode():
            batch = {IMAGES: clips.to(self.device), CAMIDS: numbers.to(self.device)}
            return self._embedder(batch).cpu()
