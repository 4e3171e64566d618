"""Configurations in files and on command lines: nothing is run, and what is unknown or of another type is refused."""

import pytest
import yaml
from fastreid.config import CfgNode
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile import hostile_yaml
from xreid_plugin.config import get_cfg
from xreid_plugin.host.configuration import leaves


@pytest.fixture
def write(tmp_path):
    def write(text, name="config.yml"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize("allow_unsafe", [False, True])
def test_nothing_in_a_file_or_in_its_base_is_run(write, tmp_path, allow_unsafe):
    base = write(hostile_yaml(tmp_path / "mark"), "base.yml")
    for path in (base, write("_BASE_: base.yml\nSEED: 1\n")):
        with pytest.raises(ValueError, match=r"base\.yml"):
            get_cfg().merge_from_file(path, allow_unsafe=allow_unsafe)
        with pytest.raises(ValueError, match=r"base\.yml"):
            CfgNode.load_yaml_with_base(path, allow_unsafe=allow_unsafe)
    assert not (tmp_path / "mark").exists()
    # The file would have run something elsewhere.
    yaml.unsafe_load((tmp_path / "base.yml").read_text())
    assert (tmp_path / "mark").exists()


def test_files_are_laid_over_their_bases(write):
    write("SEED: 1\nSOLVER: {BASE_LR: 0.5, OPT: SGD}\n", "lowest.yml")
    write("_BASE_: lowest.yml\nSOLVER: {BASE_LR: 1}\n", "middle.yml")
    path = write("_BASE_: middle.yml\nSEED: 3\n")
    cfg = get_cfg()
    cfg.merge_from_file(path)
    assert (cfg.SEED, cfg.SOLVER.BASE_LR, cfg.SOLVER.OPT) == (3, 1.0, "SGD")
    assert isinstance(cfg.SOLVER.BASE_LR, float)
    assert CfgNode.load_yaml_with_base(path) == {"SEED": 3, "SOLVER": {"BASE_LR": 1, "OPT": "SGD"}}


@pytest.mark.parametrize("text", ["", "- 1", "SEED: 1: 2", "SEED: \0"])
def test_what_is_no_configuration_is_refused_with_its_file(write, text):
    with pytest.raises(ValueError, match=r"config\.yml"):
        get_cfg().merge_from_file(write(text))


def test_a_configuration_that_is_not_there_names_the_nearest(write, tmp_path, monkeypatch):
    path = write("SEED: 1", "taught.yml")
    with pytest.raises(FileNotFoundError, match=r"taugth\.yml.*taught\.yml"):
        get_cfg().merge_from_file(path.replace("taught", "taugth"))
    (tmp_path / "projects" / "Mine").mkdir(parents=True)
    elsewhere = write("SEED: 1", "projects/Mine/vcm.yml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=str(elsewhere).removeprefix(f"{tmp_path}/")):
        get_cfg().merge_from_file("x/vcm.yml")


def test_unknown_keys_are_told_together_with_file_and_nearest(write):
    with pytest.raises(ValueError, match="TEST") as error:
        get_cfg().merge_from_file(write("TEST: {FRAME: even}\nMODEL: {HEADS: 4}\nSED: 1\n"))
    lines = str(error.value).splitlines()
    assert all("config.yml" in line for line in lines)
    assert [line.partition(" is ")[0].rpartition(" ")[2] for line in lines] == ["TEST.FRAME", "MODEL.HEADS", "SED"]
    assert "TEST.FRAMES" in lines[0]
    assert "SEED" in lines[2]


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        (["SOLVER.BASE_RL", "1"], "SOLVER.BASE_LR"),
        (["solver.max_epoch", "1"], "SOLVER.MAX_EPOCH"),
        (["IMS_PER_BATCH", "1"], r"SOLVER.IMS_PER_BATCH or TEST.IMS_PER_BATCH"),
        (["SEED"], "SEED"),
        (["SEED", "1.5"], "SEED"),
        (["MODEL.CPC.ENABLED", "1"], r"MODEL.CPC.ENABLED"),
        (["DATASETS.NAMES", "HITSZVCM"], r"DATASETS.NAMES"),
    ],
)
def test_a_fault_of_the_command_line_names_its_key_or_the_nearest(pairs, named):
    with pytest.raises(ValueError, match=named):
        get_cfg().merge_from_list(pairs)


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("SOLVER.BASE_LR", "1", 1.0),
        ("SOLVER.BASE_LR", "1e-4", 1e-4),
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
    found = dict(leaves(cfg))[key]
    assert (found, type(found)) == (value, type(value))


@settings(max_examples=50, deadline=None)
@given(
    st.one_of(
        st.sampled_from(["20261121", "1e3", "None", "[1]", "True", "0x1"]), st.text("0123456789.e-_x'\"", max_size=9)
    )
)
def test_text_that_looks_like_a_number_survives_being_written_and_read(text):
    cfg, again = get_cfg(), get_cfg()
    cfg.merge_from_list(["OUTPUT_DIR", text])
    assert isinstance(cfg.OUTPUT_DIR, str)
    again.merge_from_other_cfg(CfgNode.load_cfg(cfg.dump()))
    assert again == cfg
