"""What a copy of a dataset holds, compared with what a full copy holds."""

from xreid_plugin.data.datasets.base import TRAIN, VideoCrossModalityDataset

_LISTED = "tracklets listed"

# What the datasets' authors and public loaders count in a full copy, under each dataset's default length filter.
_FULL_COPY = {
    "HITSZVCM": {
        "train identities": 500,
        f"train {_LISTED}": 11_061,
        "train infrared tracklets": 4_291,
        "train infrared frames": 98_214,
        "train visible tracklets": 5_460,
        "train visible frames": 126_543,
        "test identities": 427,
        f"I2V query {_LISTED}": 5_159,
        "I2V query infrared tracklets": 4_584,
        "I2V query infrared frames": 105_979,
        f"I2V gallery {_LISTED}": 5_643,
        "I2V gallery visible tracklets": 5_099,
        "I2V gallery visible frames": 118_137,
    },
    "BUPTCampus": {
        "train identities": 1_074,
        f"train {_LISTED}": 7_148,
        "train infrared tracklets": 3_574,
        "train infrared frames": 398_069,
        "train visible tracklets": 3_574,
        "train visible frames": 398_069,
        "test identities": 1_076,
        f"I2V query {_LISTED}": 536,
        "I2V query infrared tracklets": 536,
        "I2V query infrared frames": 53_417,
        f"I2V gallery {_LISTED}": 2_422,
        "I2V gallery visible tracklets": 2_422,
        "I2V gallery visible frames": 298_771,
        f"V2I query {_LISTED}": 540,
        "V2I query visible tracklets": 540,
        "V2I query visible frames": 48_521,
        f"V2I gallery {_LISTED}": 2_422,
        "V2I gallery infrared tracklets": 2_422,
        "V2I gallery infrared frames": 298_771,
    },
}
_AUXILIARY_SET = {
    "train identities": 930,
    f"train {_LISTED}": 1_860,
    "train infrared tracklets": 930,
    "train infrared frames": 104_575,
    "train visible tracklets": 930,
    "train visible frames": 104_575,
}


def compare_with_full_copy(dataset: VideoCrossModalityDataset) -> list[tuple[str, int, int | None]]:
    """Counts a copy's identities, tracklets and frames.

    Args:
        dataset: the copy; read with another length filter than its own, its counts after filtering are not compared.

    Returns:
        Rows of what was counted: its name, the number found, the number in a full copy or None.
    """
    full = dict(_FULL_COPY.get(type(dataset).__name__, {}))
    if dataset.protocol.get("auxiliary"):
        full |= {name: full[name] + more for name, more in _AUXILIARY_SET.items()}
    if dataset.protocol["min_length"] != dataset.default_min_length:
        full = {name: number for name, number in full.items() if name.endswith(_LISTED)}
    return [(name, found, full.get(name)) for name, found in _measure(dataset).items()]


def _measure(dataset: VideoCrossModalityDataset) -> dict[str, int]:
    measured: dict[str, int] = {}
    for name, by_modality in dataset.counts.items():
        if name == TRAIN:
            measured["train identities"] = dataset.num_train_pids
            measured["test identities"] = len({tracklet.pid for tracklet in dataset.test})
        measured[f"{name} {_LISTED}"] = sum(counts.listed for counts in by_modality.values())
        for modality, counts in by_modality.items():
            if counts.listed:
                measured[f"{name} {modality.name.lower()} tracklets"] = counts.kept
                measured[f"{name} {modality.name.lower()} frames"] = counts.frames
    return measured
