"""A trained checkpoint, for videos of people: tracklets to embeddings, as evaluation makes them.

    predictor = TrackletPredictor("logs/xreid/vcm/model_final.pth")
    embeddings = predictor.embed(["tracklets/0001", "tracklets/0002"])
    similarity = embeddings @ embeddings.T        # cosines, -1 to 1; 1 is the same
    of_all_tracks, _ = predictor.embed_tracks(read_tracks(Path("a.mp4"), Path("mot.txt")))

A tracklet is embedded without camera embedding, as evaluation does where MODEL.BACKBONE.UNSEEN_CAMERA is "none", unless
it says by which of the training set's cameras it was seen.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from fastreid.config import CfgNode
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from xreid_plugin.data import frames
from xreid_plugin.data.footage import FrameSource, TrackletInput, open_tracklet
from xreid_plugin.data.frame_reader import FrameReader
from xreid_plugin.data.tracklet import CAMIDS, IMAGES, Tracklet
from xreid_plugin.data.tracks import TrackClips, VideoTracks
from xreid_plugin.data.transforms import to_planes
from xreid_plugin.engine.checkpoints import TRAINING_ONLY
from xreid_plugin.engine.evaluation import NO_CAMERA
from xreid_plugin.engine.inference import Embedder, autocast
from xreid_plugin.engine.restore import restore
from xreid_plugin.host import resolve_device
from xreid_plugin.modeling.fingerprint import fingerprint, weights_hash

__all__ = ["TrackletInput", "TrackletPredictor", "Watch"]

# Shown every clip that the model sees: the tracklet's number, the clip's among its clips, from 0, how many clips the
# tracklet has, and the clip, (T, H, W, 3) uint8, RGB, which is not to be kept. A tracklet's clips come in their order.
Watch: TypeAlias = Callable[[int, int, int, NDArray[np.uint8]], object]


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
        self._embedder = Embedder(self._model, cfg.TEST.FLIP.ENABLED, autocast(cfg))
        self._one_at_a_time = threading.Lock()
        self._size: tuple[int, int] = tuple(cfg.INPUT.SIZE_TEST)
        blank = torch.zeros((1, cfg.INPUT.CLIP.FRAMES, 3, *self._size), dtype=torch.uint8)
        self.dimensions = int(self._run(blank, [None]).shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that say which model this is: its weights, and what else its embeddings depend on."""
        return fingerprint(weights_hash(self._model, TRAINING_ONLY), self.cfg)

    def embed(
        self,
        tracklets: Sequence[FrameSource | Tracklet | TrackletInput],
        reader: FrameReader | None = None,
        watch: Watch | None = None,
    ) -> NDArray[np.float32]:
        """Embeds tracklets of any lengths, by TEST.FRAMES and in batches of TEST.IMS_PER_BATCH clips.

        Args:
            tracklets: n of them. A dataset's ``Tracklet`` brings its camera, a bare source of frames has none.
            reader: the source of the frames of datasets' tracklets; None reads loose files.
            watch: is shown every clip that the model sees.

        Returns:
            (n, F) float32, rows of length 1: what evaluation ranks by, up to rounding that depends on the size of a
            batch.

        Raises:
            FrameError: a file is missing or is not a picture.
            ValueError: a tracklet's frames cannot be read, with its number, or an embedding is not finite.
        """
        if isinstance(tracklets, str | Path | TrackletInput | Tracklet | VideoTracks) or _are_pictures(tracklets):
            raise ValueError("embed takes a list of tracklets; put a single one into a list: embed([frames]).")
        inputs = [open_tracklet(tracklet, number, reader) for number, tracklet in enumerate(tracklets)]
        rows = [self._frames(len(one.paths)) for one, _, _ in inputs]
        clips = (
            (number, source.read(one, row, self._size))
            for number, (one, source, _) in enumerate(inputs)
            for row in rows[number]
        )
        names, cameras = [one.name for one, _, _ in inputs], [camera for _, _, camera in inputs]
        return self._means(clips, names, cameras, [len(of_one) for of_one in rows], watch)

    def embed_tracks(
        self,
        tracks: VideoTracks,
        model_camera: int | None = None,
        watch: Watch | None = None,
        progress: Callable[[int], object] = lambda frames: None,
    ) -> tuple[NDArray[np.float32], int | None]:
        """Embeds all tracks of a video in one pass over it, of which a clip a track is held at a time.

        Args:
            tracks: n of them, at least one.
            model_camera: as of ``TrackletInput``.
            watch: is shown every clip that the model sees.
            progress: is told how many frames more of the video were read.

        Returns:
            (n, F) float32 as :meth:`embed`, but zeros for a track of which nothing can be read; and the frame, from 0,
            where the video ended too early, or None.

        Raises:
            ValueError: the video is not there or cannot be read, or an embedding is not finite.
        """
        rows = [self._frames(len(boxes)) for boxes in tracks.boxes]
        clips = TrackClips(tracks.video, tracks.boxes, rows, self._size, progress)
        names = [f"track {name} of {tracks.video}" for name in tracks.ids]
        means = self._means(iter(clips), names, [model_camera] * len(rows), [len(of_one) for of_one in rows], watch)
        return means, clips.ended

    def _frames(self, length: int) -> NDArray[np.int64]:
        """(C, T) frames of the clips of a tracklet of this length."""
        return frames.of_test(length, self.cfg.INPUT.CLIP.FRAMES, self.cfg.TEST.FRAMES)

    def _means(
        self,
        clips: Iterator[tuple[int, NDArray[np.uint8]]],
        names: Sequence[str],
        cameras: Sequence[int | None],
        counts: Sequence[int],
        watch: Watch | None,
    ) -> NDArray[np.float32]:
        """(n, F) embeddings of tracklets, whose clips come in any order; zeros for those of which none comes."""
        sums, seen = torch.zeros((len(names), self.dimensions), dtype=torch.float64), torch.zeros(len(names))
        size = max(1, self.cfg.TEST.IMS_PER_BATCH)
        block = torch.empty((size, self.cfg.INPUT.CLIP.FRAMES, 3, *self._size), dtype=torch.uint8)
        while batch := list(itertools.islice(clips, size)):
            for place, (number, clip) in enumerate(batch):
                to_planes(clip, block[place])
                if watch is not None:
                    watch(number, int(seen[number]), counts[number], clip)
                seen[number] += 1
            numbers = [number for number, _ in batch]
            embeddings = self._run(block[: len(batch)], [cameras[number] for number in numbers])
            sums.index_add_(0, torch.tensor(numbers), embeddings.double())
        finite = sums.isfinite().all(1)
        if not finite.all():
            name = names[int((~finite).nonzero()[0])]
            raise ValueError(f"The embedding of {name} is not finite: look for NaN in {self.checkpoint}.")
        rows: NDArray[np.float32] = F.normalize(sums).float().numpy()
        return rows

    def _run(self, clips: torch.Tensor, cameras: Sequence[int | None]) -> torch.Tensor:
        """The embeddings of a batch, (B, F) float32 on the CPU."""
        numbers = torch.tensor([camera if camera in self.cameras else NO_CAMERA for camera in cameras])
        # Threads had better not share autocast's context and the allocator of a GPU.
        with self._one_at_a_time, torch.inference_mode():
            batch = {IMAGES: clips.to(self.device), CAMIDS: numbers.to(self.device)}
            return self._embedder(batch).cpu()


def _are_pictures(tracklets: Sequence[object]) -> bool:
    return any(
        isinstance(one, Image.Image) or (isinstance(one, np.ndarray) and one.ndim == 3 and one.shape[-1] == 3)
        for one in tracklets
    )
