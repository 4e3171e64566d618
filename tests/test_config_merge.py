import pytest
from fastreid.config import CfgNode

from xreid_plugin.config import get_cfg
from xreid_plugin.config_files import ConfigError
from xreid_plugin.config_merge import nearest


def test_every_fault_of_a_file_is_told_with_its_line_and_remedy(tmp_path):
    (tmp_path / "base.yml").write_text("TEST:\n  FRAME: even\n")
    (tmp_path / "run.yml").write_text(
        "_BASE_: base.yml\n"
        "MODEL:\n"
        "  BACKBON:\n"
        "    NAME: x\n"
        "  HEADS: 4\n"
        "SOLVER:\n"
        "  BASE_LR: fast\n"
        "  MAX_EPOCH: 3.5\n"
        "  STEPS: 3\n"
        "  OPT:\n"
        "  ETA_MIN_LR: .nan\n"
        "SEED:\n"
        "  VALUE: 1\n"
    )
    with pytest.raises(ConfigError) as error:
        get_cfg().merge_from_file(str(tmp_path / "run.yml"))
    run = f"{tmp_path / 'run.yml'}, line"
    assert str(error.value).splitlines() == [
        f"{tmp_path / 'base.yml'}, line 2: TEST.FRAME is no configuration key; the nearest is TEST.FRAMES.",
        f"{run} 3: MODEL.BACKBON is no configuration key; the nearest is MODEL.BACKBONE. If a module of yours adds it, "
        "import it with --import.",
        f"{run} 5: MODEL.HEADS is 4; expected a group of keys, such as MODEL.HEADS.NAME.",
        f"{run} 7: SOLVER.BASE_LR is 'fast', text; expected a number, such as 0.0003.",
        f"{run} 8: SOLVER.MAX_EPOCH is 3.5, a number; expected a whole number, such as 120.",
        f"{run} 9: SOLVER.STEPS is 3, a whole number; expected a list, such as [30, 55].",
        f"{run} 10: SOLVER.OPT is None, nothing; expected text, such as 'Adam'.",
        f"{run} 11: SOLVER.ETA_MIN_LR is NaN; expected a number, such as 1e-07.",
        f"{run} 12: SEED is {{'VALUE': 1}}, a dict; expected a whole number, such as 0.",
    ]


def test_a_configuration_with_faults_is_left_as_it_was(tmp_path):
    (tmp_path / "run.yml").write_text("SEED: 3\nSED: 4\n")
    cfg = get_cfg()
    with pytest.raises(ConfigError):
        cfg.merge_from_file(str(tmp_path / "run.yml"))
    with pytest.raises(ConfigError):
        cfg.merge_from_list(["SEED", "3", "SED", "4"])
    assert cfg == get_cfg()


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (["SOLVER.BASE_RL", "1"], "SOLVER.BASE_RL is no configuration key; the nearest is SOLVER.BASE_LR."),
        (["solver.max_epoch", "1"], "the nearest is SOLVER.MAX_EPOCH."),
        (["IMS_PER_BATCH", "1"], "the nearest is SOLVER.IMS_PER_BATCH or TEST.IMS_PER_BATCH."),
        (["MODEL.MAX_EPOCH", "1"], "the nearest is SOLVER.MAX_EPOCH."),
        (["MODEL.MII", "1"], "MODEL.MII is a group of keys; set one of its keys, such as MODEL.MII.HEADS."),
        (["SEED.DEEPER", "1"], "SEED.DEEPER is no configuration key; the nearest is SEED."),
        (["", "1"], " is no configuration key"),
        (["SEED"], "'SEED' is left over"),
        (["_BASE_", "x.yml"], "_BASE_ stands in files alone"),
        (["SEED", "1.5"], "SEED is 1.5, a number; expected a whole number, such as 0."),
        (["SEED", "True"], "SEED is True, True or False; expected a whole number"),
        (["MODEL.CPC.ENABLED", "1"], "MODEL.CPC.ENABLED is 1, a whole number; expected True or False"),
        (["DATASETS.NAMES", "HITSZVCM"], "DATASETS.NAMES is 'HITSZVCM', text; expected a list, such as"),
        (["SOLVER.STEPS", "(" * 3000], "SOLVER.STEPS is '\\(\\(.*\\.\\.\\., text; expected a list"),
        (["SOLVER.STEPS", "[{}]"], "SOLVER.STEPS holds {}, a dict; expected plain values"),
    ],
)
def test_a_fault_of_the_command_line_is_told_with_its_remedy(pairs, expected):
    with pytest.raises(ConfigError, match=expected) as error:
        get_cfg().merge_from_list(pairs)
    assert len(str(error.value)) < 300


def test_all_faults_of_a_command_line_are_told_at_once():
    with pytest.raises(ConfigError) as error:
        get_cfg().merge_from_list(["SED", "1", "SOLVER.MAX_EPOCH", "x", "TEST.FRAME", "even"])
    assert [line.split(" is ")[0] for line in str(error.value).splitlines()] == [
        "SED",
        "SOLVER.MAX_EPOCH",
        "TEST.FRAME",
    ]


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("SOLVER.BASE_LR", "1", 1.0),
        ("SOLVER.BASE_LR", "1e-4", 1e-4),
        ("OUTPUT_DIR", "2024", "2024"),
        ("OUTPUT_DIR", "'2024'", "2024"),
        ("MODEL.WEIGHTS", "None", "None"),
        ("DATASETS.NAMES", '["HITSZVCM"]', ("HITSZVCM",)),
        ("INPUT.SIZE_TRAIN", "(96, 48)", [96, 48]),
        ("SOLVER.MAX_EPOCH", 3, 3),
    ],
)
def test_a_value_takes_the_type_of_its_key(key, given, value):
    cfg = get_cfg()
    cfg.merge_from_list([key, given])
    group, name = key.rsplit(".", 1) if "." in key else ("", key)
    node = cfg
    for part in filter(None, group.split(".")):
        node = node[part]
    assert node[name] == value
    assert type(node[name]) is type(value)


def test_keys_that_come_from_no_file_are_checked_too():
    with pytest.raises(ConfigError, match=r"SOLVER\.BASE_RL is no configuration key; the nearest is SOLVER\.BASE_LR"):
        get_cfg().merge_from_other_cfg(CfgNode({"SOLVER": {"BASE_RL": 1.0}}))


def test_the_nearest_name_may_be_none():
    assert nearest("XYZZY", ["SEED", "SOLVER"]) is None
    assert nearest("sgd", ["SGD", "Adam"]) == "SGD"
