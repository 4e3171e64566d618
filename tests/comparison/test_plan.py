from pathlib import Path

import pytest
import yaml

from xreid_plugin.comparison.runs import NOTE, own_keys, plan
from xreid_plugin.config import get_cfg

ROOT = Path(__file__).parents[2]
BASELINES = sorted((ROOT / "configs/baselines").glob("*.yml"))
VCM = ROOT / "projects/XReID/configs/vcm.yml"
SIZES = ROOT / "projects/XReID/configs/synthetic.yml"
FROM_SCRATCH = ROOT / "configs/from-scratch.yml"
BOT = ("bot", ROOT / "configs/baselines/bot_r18.yml")


def test_every_configuration_runs_under_every_seed_in_a_folder_of_its_own(tmp_path):
    runs = plan([BOT, ("xreid", VCM)], [0, 3], tmp_path)
    assert [(run.name, run.seed) for run in runs] == [("bot", 0), ("bot", 3), ("xreid", 0), ("xreid", 3)]
    assert [run.folder for run in runs[:2]] == [tmp_path / "bot/seed0", tmp_path / "bot/seed3"]
    assert not any(run.is_done or run.can_resume for run in runs)
    assert runs[0].results.name == "results_epoch_30.json"


@pytest.mark.parametrize("config", [*BASELINES, VCM], ids=lambda path: path.stem)
def test_the_command_line_of_a_run_makes_the_settings_that_were_planned(tmp_path, config):
    overrides = ["SOLVER.MAX_EPOCH", "4", "MODEL.LOSSES.TRI.SCALE", "0.5"]
    (run,) = plan([("model", config)], [7], tmp_path, [SIZES, FROM_SCRATCH], overrides)
    cfg = get_cfg()
    cfg.merge_from_file(str(run.config_file))
    cfg.merge_from_list(list(run.overrides))
    assert (7, str(run.folder)) == (cfg.SEED, cfg.OUTPUT_DIR)
    assert (cfg.SOLVER.MAX_EPOCH, cfg.MODEL.LOSSES.TRI.SCALE) == (4, 0.5)
    cfg.OUTPUT_DIR = ""
    assert cfg.dump() == run.settings


def test_an_overlay_lays_its_own_keys_over_a_configuration_and_not_those_of_its_base(tmp_path):
    (run,) = plan([BOT], [0], tmp_path, [SIZES])
    settings = yaml.safe_load(run.settings)
    small = yaml.safe_load(SIZES.read_text())
    assert settings["INPUT"]["SIZE_TRAIN"] == small["INPUT"]["SIZE_TRAIN"]
    assert settings["MODEL"]["BACKBONE"]["PRETRAIN"] is False
    # The base of the overlay is X-ReID's.
    assert settings["MODEL"]["META_ARCHITECTURE"] == "FrameBaseline"


def test_a_later_overlay_wins_and_the_command_line_wins_over_all(tmp_path):
    first, second = tmp_path / "first.yml", tmp_path / "second.yml"
    first.write_text("SOLVER: {BASE_LR: 1.0e-3, MAX_EPOCH: 5, GAMMA: 0.5}")
    second.write_text("SOLVER: {BASE_LR: 2.0e-3, MAX_EPOCH: 6}")
    (run,) = plan([BOT], [0], tmp_path / "out", [first, second], ["SOLVER.MAX_EPOCH", "7"])
    solver = yaml.safe_load(run.settings)["SOLVER"]
    assert (solver["GAMMA"], solver["BASE_LR"], solver["MAX_EPOCH"]) == (0.5, 0.002, 7)
    assert run.last_epoch == 7


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


def test_own_keys_leave_out_what_a_comparison_sets():
    assert not {"_BASE_", "SEED", "OUTPUT_DIR"} & set(own_keys(SIZES))
    assert "OUTPUT_DIR" in SIZES.read_text()


def claim(run):
    run.folder.mkdir(parents=True)
    (run.folder / NOTE).write_text(run.settings)


def test_a_folder_of_the_same_settings_is_gone_on_with(tmp_path):
    (run,) = plan([BOT], [0], tmp_path)
    claim(run)
    run.results.write_text("{}")
    (again,) = plan([BOT], [0], tmp_path)
    assert again == run
    assert again.is_done


def test_a_folder_of_other_settings_is_refused_with_what_differs(tmp_path):
    (run,) = plan([BOT], [0], tmp_path)
    claim(run)
    with pytest.raises(ValueError, match=r"SOLVER\.GAMMA 0\.1 → 0\.5"):
        plan([BOT], [0], tmp_path, overrides=["SOLVER.GAMMA", "0.5"])


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "bot/seed0").mkdir(parents=True)
    (tmp_path / "bot/seed0/holiday.jpg").touch()
    with pytest.raises(ValueError, match="holds something"):
        plan([BOT], [0], tmp_path)
