"""Features of test tracklets, and the file that keeps them, so that those of any method are ranked by the same rules.

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
  protocol                  () text             a JSON object; its ranking rules are the defaults of a later ranking,
                                                its "model" is the fingerprint of the model that embedded
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xreid_plugin.data.tracklet import INFRARED_TO_VISIBLE, VISIBLE_TO_INFRARED, Modality, RetrievalTask
from xreid_plugin.evaluation.archive import Archive
from xreid_plugin.evaluation.matching import Array
from xreid_plugin.files import replace_atomically

DIRECTIONS = (INFRARED_TO_VISIBLE, VISIBLE_TO_INFRARED)
_INDEX_NAMES = {
    direction: tuple(f"{direction.lower()}_{role}" for role in RetrievalTask._fields) for direction in DIRECTIONS
}
_NAMES = (
    *("features", "pids", "camids", "modalities", "is_query", "first_half", "second_half", "names", "protocol"),
    *(name for names in _INDEX_NAMES.values() for name in names),
)


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
        second_half: likewise, features of the second half.
        names: the tracklets' names, or None.
        protocol: how the features were made, and the rules of the first ranking; ready for JSON.
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
    arrays: dict[str, Any] = {
        "features": _on_host(data.features),
        "pids": data.pids,
        "camids": data.camids,
        "modalities": data.modalities,
        "protocol": np.array(json.dumps(dict(data.protocol))),
    }
    for direction, task in data.tasks.items():
        arrays.update(zip(_INDEX_NAMES[direction], (np.array(side, np.int64) for side in task), strict=True))
    optional = {"first_half": data.first_half, "second_half": data.second_half, "names": data.names}
    arrays.update({name: _on_host(values) for name, values in optional.items() if values is not None})

    def write(part: Path) -> None:
        # A name without .npz would be given one by numpy; an open file keeps its own.
        with part.open("wb") as file:
            np.savez(file, **arrays)

    replace_atomically(path, write)


def _on_host(values: Any) -> NDArray[Any]:
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def load_features(path: Path) -> TrackletFeatures:
    """Reads and checks a file of the form that this module describes.

    Raises:
        FeatureFileError: it is not there, is of another form, or holds NaN or infinite features.
    """
    archive = Archive.read(path, _NAMES)
    features = archive.matrix("features")
    count = len(features)
    modalities = archive.integers("modalities", count)
    if not np.isin(modalities, list(Modality)).all():
        raise archive.error("modalities", "0 for infrared and 1 for visible alone")
    first_half, second_half = (
        archive.matrix(name, features.shape) if name in archive else None for name in ("first_half", "second_half")
    )
    return TrackletFeatures(
        features=features,
        pids=archive.integers("pids", count),
        camids=archive.integers("camids", count),
        modalities=modalities,
        tasks=_tasks(archive, modalities),
        first_half=first_half,
        second_half=second_half,
        names=tuple(archive.texts("names", (count,)).tolist()) if "names" in archive else None,
        protocol=_protocol(archive),
    )


def _tasks(archive: Archive, modalities: NDArray[np.int64]) -> dict[str, RetrievalTask]:
    named = {d: names for d, names in _INDEX_NAMES.items() if any(name in archive for name in names)}
    if named:
        return {direction: _named_task(archive, direction, modalities) for direction in named}
    if "is_query" not in archive:
        raise archive.error("i2v_query", "indices of the queries, with 'i2v_gallery', or else booleans in 'is_query'")
    tasks = tasks_of_flags(archive.flags("is_query", len(modalities)), modalities)
    if not tasks:
        raise archive.error("is_query", "queries of one modality and tracklets of the other that are no queries")
    return tasks


def _named_task(archive: Archive, direction: str, modalities: NDArray[np.int64]) -> RetrievalTask:
    query, gallery = sides = [archive.indices(name, len(modalities)) for name in _INDEX_NAMES[direction]]
    asking = Modality.INFRARED if direction == INFRARED_TO_VISIBLE else Modality.VISIBLE
    for name, side, modality in zip(_INDEX_NAMES[direction], sides, (asking, Modality(1 - asking)), strict=True):
        repeated = _first_repeated(side)
        if repeated is not None:
            raise archive.error(name, f"each index once, but {repeated} comes again")
        if not (modalities[list(side)] == modality).any():
            raise archive.error(name, f"{modality.name.lower()} tracklets, but all of these are of the other modality")
    shared = set(query).intersection(gallery)
    if shared:
        expected = f"other tracklets than '{_INDEX_NAMES[direction][0]}' has, but {min(shared)} is in both"
        raise archive.error(_INDEX_NAMES[direction][1], expected)
    return RetrievalTask(query, gallery)


def _first_repeated(indices: tuple[int, ...]) -> int | None:
    values, counts = np.unique(indices, return_counts=True)
    return int(values[counts.argmax()]) if counts.max() > 1 else None


def _protocol(archive: Archive) -> dict[str, Any]:
    if "protocol" not in archive:
        return {}
    try:
        protocol = json.loads(archive.texts("protocol", ()).item())
    except (ValueError, RecursionError):
        protocol = None
    if not isinstance(protocol, dict):
        raise archive.error("protocol", "a single text that holds a JSON object")
    return protocol


def tasks_of_flags(is_query: NDArray[np.bool_], modalities: NDArray[np.int64]) -> dict[str, RetrievalTask]:
    """The directions that flags of queries allow, by the rule that this module states for ``is_query``.

    Args:
        is_query: (n,) bool.
        modalities: (n,) values of Modality.
    """
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
