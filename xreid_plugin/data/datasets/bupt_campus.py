"""BUPTCampus: 3,080 identities, six cameras that take visible and infrared pictures at the same time."""

import json
from collections.abc import Container, Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from fastreid.data.datasets import DATASET_REGISTRY

from xreid_plugin.data.datasets.base import (
    ListedTracklets,
    VideoCrossModalityDataset,
    find_root,
    line_error,
    read_lines,
    resolve_below,
)
from xreid_plugin.data.tracklet import INFRARED_TO_VISIBLE as I2V
from xreid_plugin.data.tracklet import VISIBLE_TO_INFRARED as V2I
from xreid_plugin.data.tracklet import FramePaths, Modality, RetrievalTask, Tracklet

_FOLDER = "BUPTCampus"
_ORIGIN = (
    "BUPTCampus comes from its owners, the authors of 'Video-based Visible-Infrared Person Re-Identification with "
    "Auxiliary Samples' (TIFS 2023); ask for it at https://github.com/dyhBUPT/BUPTCampus."
)
_FRAMES_FOLDER = "DATA"
_PATHS_FILE = "data_paths.json"

_CAMERAS = {"LS3": 0, "G25": 1, "CQ1": 2, "W4": 3, "TSG1": 4, "TSG2": 5}
_MODALITIES = {"RGB": Modality.VISIBLE, "IR": Modality.INFRARED}
_PAIR = {"RGB/IR": ("IR", "RGB")}
_SINGLE = {"IR": ("IR",), "RGB": ("RGB",)}

# Identities of training and test; tracklets and frames: counted by the dataset's authors and in public loaders.
_FULL_COPY = {
    "identities": (1_074, 1_076),
    "train infrared": (3_574, 398_069),
    "train visible": (3_574, 398_069),
    "I2V query infrared": (536, 53_417),
    "I2V gallery visible": (2_422, 298_771),
    "V2I query visible": (540, 48_521),
    "V2I gallery infrared": (2_422, 298_771),
}
_WITH_AUXILIARY_SET = {
    **_FULL_COPY,
    "identities": (2_004, 1_076),
    "train infrared": (4_504, 502_644),
    "train visible": (4_504, 502_644),
}


# Identity, modality, camera and tracklet: the keys that lead to its frames in data_paths.json, as written there.
_Key = tuple[str, str, str, str]


@DATASET_REGISTRY.register()
class BUPTCampus(VideoCrossModalityDataset):
    """BUPTCampus (Du et al., TIFS 2023), as its lists say.

    I2V: the infrared tracklets of query.txt against the visible ones of gallery.txt. V2I: the visible ones against the
    infrared ones, which is not I2V with its sets swapped. Cameras: LS3 0, G25 1, CQ1 2, W4 3, TSG1 4, TSG2 5. Generated
    infrared pictures (FakeIR) are ignored.
    """

    default_min_length = 1

    def __init__(
        self,
        root: str | Path = "datasets",
        *,
        min_length: int = 0,
        auxiliary: bool = False,
        packed: Container[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Reads the lists; no frame is looked for. The rest is as of HITSZVCM.

        Args:
            root: the dataset's own folder, or the folder that holds BUPTCampus.
            min_length: shortest tracklet that counts, in frames; 0 stands for 1, as the dataset's authors have it. The
                public X-ReID code has 2.
            auxiliary: also train on the identities of train_auxiliary.txt, each seen by one camera only.
            packed: names of the frames in a pack.
            **kwargs: the host's.
        """
        self.home = find_root(root, _FOLDER, (_PATHS_FILE,), _ORIGIN)
        if packed is None and not (self.home / _FRAMES_FOLDER).is_dir():
            raise FileNotFoundError(f"{self.home / _FRAMES_FOLDER} is missing: unpack the frames of BUPTCampus there.")
        try:
            frames = json.loads((self.home / _PATHS_FILE).read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise ValueError(f"{self.home / _PATHS_FILE}: expected JSON ({error}); copy the file again.") from error
        train = _read_list(self.home / "train.txt", frames, _PAIR)
        if auxiliary:
            train |= _read_list(self.home / "train_auxiliary.txt", frames, _PAIR)
        query = _read_list(self.home / "query.txt", frames, _SINGLE)
        gallery = _read_list(self.home / "gallery.txt", frames, _SINGLE)
        test = query | gallery
        position = {key: index for index, key in enumerate(test)}

        def pick(keys: dict[_Key, Tracklet], modality: Modality) -> tuple[int, ...]:
            return tuple(position[key] for key, tracklet in keys.items() if tracklet.modality is modality)

        tasks = {
            I2V: RetrievalTask(pick(query, Modality.INFRARED), pick(gallery, Modality.VISIBLE)),
            V2I: RetrievalTask(pick(query, Modality.VISIBLE), pick(gallery, Modality.INFRARED)),
        }
        listed = ListedTracklets(list(train.values()), list(test.values()), tasks)
        self.full_copy = _WITH_AUXILIARY_SET if auxiliary else _FULL_COPY
        super().__init__(listed, min_length=min_length, options={"auxiliary": auxiliary}, **kwargs)


def _read_list(file: Path, frames: Any, modalities: Mapping[str, tuple[str, ...]]) -> dict[_Key, Tracklet]:
    """The tracklets of one list, in its order, by their place in ``frames``, which is what data_paths.json holds.

    ``modalities``: the words that the list may use, and the modalities of data_paths.json that each stands for.
    """
    folder = file.parent / _FRAMES_FOLDER
    tracklets: dict[_Key, Tracklet] = {}
    for number, text in enumerate(read_lines(file), start=1):
        pid, modality, camera, track, *more = [*text.split(), "", "", "", ""]
        if modality not in modalities or camera not in _CAMERAS or not track or any(more):
            form = f"'identity modality camera tracklet', modality {' or '.join(modalities)}"
            raise line_error(file, number, text, f"expected {form}, camera {', '.join(_CAMERAS)}")
        for key in [(pid, single, camera, track) for single in modalities[modality]]:
            if key in tracklets:
                raise line_error(file, number, text, f"the {key[1]} tracklet is listed already")
            try:
                # A few stray frames are of others; they are kept, as in all public loaders.
                names = [str(name) for name in reduce(getitem, key, frames)]
                if not names:
                    raise ValueError("the list is empty")
                for below in {name.rpartition("/")[0] for name in names}:
                    resolve_below(folder, below)
                paths = FramePaths(f"{folder}/{name}" for name in names)
                tracklets[key] = Tracklet(paths, int(pid), _CAMERAS[camera], _MODALITIES[key[1]], "_".join(key))
            except (KeyError, TypeError, ValueError) as error:
                problem = f"{_PATHS_FILE} has no good frames of {' > '.join(key)} ({error})"
                raise line_error(file, number, text, problem) from error
    return tracklets
