"""Features of test tracklets, and the file that keeps them, so that those of any method are ranked alike.

The file is a NumPy archive, as np.savez writes it, without pickled objects. For n tracklets and F dimensions it holds

  features                  (n, F) floating     embeddings of any norm; ranking normalises them
  pids                      (n,) integer        identities
  camids                    (n,) integer        cameras
  modalities                (n,) integer        0 infrared, 1 visible

and the queries and the gallery, as indices from 0, for one direction or both

  i2v_query, i2v_gallery    (any,) integer      infrared queries, visible gallery
  v2i_query, v2i_gallery    (any,) integer      visible queries, infrared gallery

where no tracklet comes twice in a direction, and each side has tracklets of the modality given above. It
may have others too, since in HITSZ-VCM all tracklets that are not queries are the gallery. Or, instead, as

  is_query                  (n,) bool           the gallery is the tracklets of the other modality that are not queries;
                                                where all of one modality are queries and none of the other, the other
                                                direction swaps the two sets. A direction without a query is left out.

It may hold

  first_half, second_half   (n, F) floating     embeddings of the halves of tracklets, for temporal re-ranking
  names                     (n,) text           of tracklets
  protocol                  () text             a JSON object; its settings are the defaults of a later ranking,
                                                its "model" is the fingerprint of the model that embedded
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.tracklet import INFRARED_TO_VISIBLE, VISIBLE_TO_INFRARED, Modality, RetrievalTask
from xreid_plugin.evaluation.metrics import Array, as_float32
from xreid_plugin.files import replace_atomically

DIRECTIONS = (INFRARED_TO_VISIBLE, VISIBLE_TO_INFRARED)


@dataclass(frozen=True, eq=False)
class TrackletFeatures:
    """What a ranking needs to know of n test tracklets.

    Attributes:
        features: (n, F) float32, means over clips, not normalised; numpy, or torch on the device that ranks them.
        pids: (n,) int64, identities.
        camids: (n,) int64, cameras.
        modalities: (n,) int64, values of Modality.
        tasks: by direction, indices of the queries and of the gallery.
        first_half: (n, F) float32, features of the first half of each tracklet; None where no halves were embedded.
        second_half: (n, F) float32, features of the second half, or None.
        names: the tracklets' names, or None.
        protocol: how the features were made, and the settings of the first ranking; ready for JSON.
    """

    features: Array
    pids: NDArray[np.int64]
    camids: NDArray[np.int64]
    modalities: NDArray[np.int64]
    tasks: Mapping[str, RetrievalTask]
    first_half: Array | None = None
    second_half: Array | None = None
    names: tuple[str, ...] | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)


def save_features(path: Path, data: TrackletFeatures) -> None:
    """Writes the file that this module describes, completely or not at all; its folder must exist."""
    arrays: dict[str, Any] = {name: getattr(data, name) for name in ("pids", "camids", "modalities")}
    arrays["protocol"] = json.dumps(dict(data.protocol))
    for direction, task in data.tasks.items():
        arrays.update(zip(_index_names(direction), task, strict=True))
    if data.names is not None:
        arrays["names"] = data.names
    for name in ("features", "first_half", "second_half"):
        if getattr(data, name) is not None:
            arrays[name] = as_float32(getattr(data, name)).cpu().numpy()

    def write(part: Path) -> None:
        # A name without .npz would be given one by numpy; an open file keeps its own.
        with part.open("wb") as file:
            np.savez(file, **arrays)

    replace_atomically(path, write)


def load_features(path: Path) -> TrackletFeatures:
    """Reads and checks a file of the form that this module describes; no pickled object of it is unpacked.

    Raises:
        OSError: there is no such file.
        ValueError: it is of another form; names the file and the array.
    """
    # Opened here, so that it is closed here: numpy leaves a file open that it refuses.
    with path.open("rb") as file:
        try:
            return _checked(np.load(file, allow_pickle=False))
        # Besides their own errors, zipfile and numpy let through whatever Python raises over damaged bytes.
        except Exception as error:
            raise ValueError(f"{path} cannot be used as an .npz archive of features: {error}") from error


def _checked(file: Mapping[str, NDArray[Any]]) -> TrackletFeatures:
    features = _array(file, "features", "floating", (None, None)).astype(np.float32)
    first_half, second_half = (
        _array(file, name, "floating", features.shape).astype(np.float32) if name in file else None
        for name in ("first_half", "second_half")
    )
    count, labels = features.shape[:1], ("pids", "camids", "modalities")
    pids, camids, modalities = (_array(file, name, "integer", count).astype(np.int64) for name in labels)
    if not np.isin(modalities, list(Modality)).all():
        raise ValueError("array 'modalities' must hold 0 for infrared and 1 for visible alone")
    names = tuple(_array(file, "names", "str_", count).tolist()) if "names" in file else None
    protocol = dict(json.loads(_array(file, "protocol", "str_", ()).item())) if "protocol" in file else {}
    tasks = _tasks(file, modalities)
    return TrackletFeatures(features, pids, camids, modalities, tasks, first_half, second_half, names, protocol)


def _array(file: Mapping[str, NDArray[Any]], name: str, kind: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """An array of a file, if it is of this kind of numpy's and of this shape, where None is any length but 0."""
    if name not in file:
        raise ValueError(f"array '{name}' is missing")
    array = file[name]
    sizes = zip(array.shape, shape, strict=False)
    fits = array.ndim == len(shape) and all(n > 0 if m is None else n == m for n, m in sizes)
    if not fits or not np.issubdtype(array.dtype, getattr(np, kind)):
        raise ValueError(f"array '{name}' is {array.dtype} of shape {array.shape}; expected {kind} of shape {shape}")
    return array


def _tasks(file: Mapping[str, NDArray[Any]], modalities: NDArray[np.int64]) -> dict[str, RetrievalTask]:
    tasks = {}
    for direction in DIRECTIONS:
        names = _index_names(direction)
        if not file.keys() & set(names):
            continue
        sides = [_array(file, name, "integer", (None,)).astype(np.int64) for name in names]
        both = np.concatenate(sides)
        if both.min() < 0 or both.max() >= len(modalities) or len(np.unique(both)) < len(both):
            raise ValueError(f"arrays {names} must hold indices 0..{len(modalities) - 1}, each once in a direction")
        tasks[direction] = RetrievalTask(*(tuple(side.tolist()) for side in sides))
    tasks = tasks or tasks_of_flags(_array(file, "is_query", "bool_", modalities.shape), modalities)
    if not tasks:
        raise ValueError("array 'is_query' must flag queries of one modality and leave tracklets of the other")
    return tasks


def _index_names(direction: str) -> tuple[str, str]:
    return f"{direction.lower()}_query", f"{direction.lower()}_gallery"


def tasks_of_flags(is_query: NDArray[np.bool_], modalities: NDArray[np.int64]) -> dict[str, RetrievalTask]:
    """The directions that flags of queries, (n,), allow, as this module states for ``is_query``."""
    infrared = modalities == Modality.INFRARED
    if (is_query == infrared).all() or (is_query != infrared).all():
        sets = {INFRARED_TO_VISIBLE: (infrared, ~infrared), VISIBLE_TO_INFRARED: (~infrared, infrared)}
    else:
        sets = {
            INFRARED_TO_VISIBLE: (is_query & infrared, ~is_query & ~infrared),
            VISIBLE_TO_INFRARED: (is_query & ~infrared, ~is_query & infrared),
        }
    return {
        direction: RetrievalTask(*(tuple(np.flatnonzero(side).tolist()) for side in sides))
        for direction, sides in sets.items()
        if all(side.any() for side in sides)
    }
