"""Cameras of a test set that the model has no embedding of: numbers mean something within one dataset alone."""

from collections.abc import Sequence
from typing import Any

from xreid_plugin.data.tracklet import Tracklet
from xreid_plugin.engine.setup import embeds_cameras

# No dataset has a camera of this number, so a model has no embedding of it.
NO_CAMERA = -1


def is_of_other_cameras(cfg: Any, name: str) -> bool:
    """Whether the model embeds cameras, and those of the dataset ``name`` are not those it was trained on."""
    return embeds_cameras(cfg) and name not in cfg.DATASETS.NAMES


def refuse_unseen_cameras(cfg: Any, name: str, tracklets: Sequence[Tracklet]) -> None:
    """Refuses, under MODEL.BACKBONE.UNSEEN_CAMERA error, test tracklets of cameras without an embedding.

    Args:
        cfg: DATASETS.NAMES names what the model was trained on, a checkpoint's own set where there is one.
        name: of the test set.
        tracklets: of it.

    Raises:
        ValueError: names both sets, the cameras and the key.
    """
    if cfg.MODEL.BACKBONE.UNSEEN_CAMERA != "error" or not embeds_cameras(cfg):
        return
    trained, remedy = ", ".join(cfg.DATASETS.NAMES), "MODEL.BACKBONE.UNSEEN_CAMERA none embeds their frames without one"
    found, known = sorted({tracklet.camid for tracklet in tracklets}), sorted(cfg.MODEL.BACKBONE.CAMERAS)
    if is_of_other_cameras(cfg, name):
        raise ValueError(
            f"The test set of {name} has cameras {found}; the model has embeddings of cameras {known} of {trained}, "
            f"which are others, whatever their numbers. {remedy}."
        )
    unseen = sorted(set(found) - set(known))
    # Before a configuration is completed it knows no cameras; the model itself then refuses them.
    if known and unseen:
        raise ValueError(
            f"The test set of {name} has cameras {unseen}; the training set of {trained} has only {known}. {remedy}."
        )


def as_the_model_knows_them(cfg: Any, name: str, tracklets: Sequence[Tracklet]) -> Sequence[Tracklet]:
    """Tracklets to embed: without their cameras where these are of another dataset than the model was trained on.

    Args:
        cfg: as for :func:`refuse_unseen_cameras`.
        name: of the dataset that they are of.
        tracklets: of it.

    Raises:
        ValueError: as :func:`refuse_unseen_cameras`.
    """
    refuse_unseen_cameras(cfg, name, tracklets)
    if not is_of_other_cameras(cfg, name):
        return tracklets
    return [tracklet._replace(camid=NO_CAMERA) for tracklet in tracklets]
