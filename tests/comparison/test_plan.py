from pathlib import Path

import pytest
import yaml

from xreid_plugin.comparison.runs import SETTINGS, plan
from xreid_plugin.config import get_cfg

ROOT = Path(__file__).parents[2]
SIZES = ROOT / "projects/XReID/configs/synthetic.yml"
FROM_SCRATCH = ROOT / "configs/from-scratch.yml"
BOT = ("bot", ROOT / "configs/baselines/bot_r18.yml")
VCM = ("xreid", ROOT / "projects/XReID/configs/vcm.yml")


def test_every_configuration_runs_under_every_seed_in_a_folder_of_its_own(tmp_path):
    runs = plan([BOT, VCM], [0, 3], tmp_path)
    assert [(run.name, run.seed) for run in runs] == [("bot", 0), ("bot", 3), ("xreid", 0), ("xreid", 3)]
    assert [run.folder for run in runs[:2]] == [tmp_path / "bot/seed0", tmp_path / "bot/seed3"]
    assert not any(run.is_done or run.can_resume for run in runs)
    assert runs[0].results.name == "results_epoch_30.json"


def test_settings_are_a_configuration_with_the_overlays_own_keys_and_the_command_line_over_it(tmp_path):
    later = tmp_path / "later.yml"
    later.write_text("SOLVER: {BASE_LR: 2.0e-3, MAX_EPOCH: 6}\nSEED: 1")
    runs = plan([BOT, VCM], [7], tmp_path / "out", [SIZES, FROM_SCRATCH, later], ["SOLVER.MAX_EPOCH", "4"])
    small = yaml.safe_load(SIZES.read_text())
    for run, architecture in zip(runs, ("FrameBaseline", "XReID"), strict=True):
        (tmp_path / "settings.yaml").write_text(run.settings)
        cfg = get_cfg()
        cfg.merge_from_file(str(tmp_path / "settings.yaml"))
        assert cfg.dump() == run.settings
        assert (cfg.SEED, cfg.OUTPUT_DIR, run.last_epoch) == (7, "", 4)
        assert (cfg.SOLVER.MAX_EPOCH, cfg.SOLVER.BASE_LR) == (4, 0.002)
        assert small["INPUT"]["SIZE_TRAIN"] == cfg.INPUT.SIZE_TRAIN
        # The base of the overlays is X-ReID's.
        assert architecture == cfg.MODEL.META_ARCHITECTURE


@pytest.mark.parametrize(
    ("names", "seeds", "overrides", "message"),
    [
        (["a", "a"], [0], [], "name"),
        (["a"], [0, 0], [], "--seeds"),
        (["a"], [0], ["OUTPUT_DIR", "elsewhere"], "--output"),
        (["a"], [0], ["TEST.EVAL_PERIOD", "0"], "EVAL_PERIOD"),
        (["a"], [0], ["DATASETS.TESTS", "('HITSZVCM', 'BUPTCampus')"], "DATASETS.TESTS"),
        (["a"], [0], ["SOLVER.IMS_PER_BATCH", "6"], "IMS_PER_BATCH"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, names, seeds, overrides, message):
    with pytest.raises(ValueError, match=message):
        plan([(name, BOT[1]) for name in names], seeds, tmp_path, overrides=overrides)


def test_a_folder_of_the_same_settings_is_gone_on_with_and_any_other_refused(tmp_path):
    (run,) = plan([BOT], [0], tmp_path)
    run.folder.mkdir(parents=True)
    run.results.write_text("{}")
    with pytest.raises(ValueError, match="seed0"):
        plan([BOT], [0], tmp_path)
    (run.folder / SETTINGS).write_text(run.settings)
    assert plan([BOT], [0], tmp_path) == [run]
    assert run.is_done
    with pytest.raises(ValueError, match=r"SOLVER\.GAMMA 0\.1 → 0\.5"):
        plan([BOT], [0], tmp_path, overrides=["SOLVER.GAMMA", "0.5"])
