"""Random features of tracklets, of a size that a plain loop can rank."""

import numpy as np

from xreid_plugin.evaluation.features import TrackletFeatures, tasks_of_flags

IDENTITIES = 8
# Of each identity and modality: one tracklet a camera.
CAMERAS = 3
DIMENSIONS = 12


def random_features(seed=0, halves=False, **changes):
    """Identities that features separate in part; two sets of queries, as in BUPTCampus."""
    rng = np.random.default_rng(seed)
    pids, camids, modalities = (
        axis.ravel() for axis in np.meshgrid(range(IDENTITIES), range(CAMERAS), range(2), indexing="ij")
    )
    centres = rng.normal(size=(IDENTITIES, DIMENSIONS))

    def embeddings():
        scale = rng.uniform(0.5, 3, size=(len(pids), 1))
        return (scale * (centres[pids] + 1.2 * rng.normal(size=(len(pids), DIMENSIONS)))).astype(np.float32)

    facts = {
        "features": embeddings(),
        "pids": pids,
        "camids": camids,
        "modalities": modalities,
        "tasks": tasks_of_flags(camids == 0, modalities),
        "first_half": embeddings() if halves else None,
        "second_half": embeddings() if halves else None,
    }
    return TrackletFeatures(**{**facts, **changes})
