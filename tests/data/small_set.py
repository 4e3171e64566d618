"""A synthetic set and a configuration that are small enough to train on in a test."""

from projects.SyntheticPeople import SyntheticSettings, write_vcm
from xreid_plugin.config import get_cfg

TRAIN_IDENTITIES = 6
TEST_IDENTITIES = 5


def write_small_set(root):
    settings = SyntheticSettings(
        train_identities=TRAIN_IDENTITIES,
        test_identities=TEST_IDENTITIES,
        cameras=3,
        tracklets=3,
        frames=(12, 14),
        size=(48, 24),
    )
    write_vcm(settings, root)


# Overrides that make any clip configuration of the project small, as a command line would give them.
SMALL = [
    "INPUT.SIZE_TRAIN", "[48, 24]",
    "INPUT.SIZE_TEST", "[48, 24]",
    "INPUT.CLIP.FRAMES", "3",
    "DATALOADER.NUM_WORKERS", "0",
    "SOLVER.IMS_PER_BATCH", "8",
    "SOLVER.ITERS_PER_EPOCH", "3",
    "SOLVER.MAX_EPOCH", "2",
    "SOLVER.WARMUP_ITERS", "2",
    "SOLVER.LOG_PERIOD", "1",
    "SOLVER.CHECKPOINT_PERIOD", "1",
    "TEST.EVAL_PERIOD", "1",
    "TEST.IMS_PER_BATCH", "16",
]  # fmt: skip


def small_config(root, output, *overrides):
    cfg = get_cfg()
    cfg.merge_from_file("projects/XReID/configs/synthetic.yml")
    cfg.merge_from_list([*SMALL, "DATASETS.ROOT", str(root), "OUTPUT_DIR", str(output), *overrides])
    output.mkdir(parents=True, exist_ok=True)
    return cfg
