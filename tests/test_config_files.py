import pytest
import yaml
from fastreid.config import CfgNode
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile import hostile_yaml
from xreid_plugin.config import get_cfg
from xreid_plugin.config_files import ConfigError


@pytest.fixture
def write(tmp_path):
    def write(text, name="config.yml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


@pytest.mark.parametrize("allow_unsafe", [False, True])
def test_nothing_in_a_file_is_run(write, tmp_path, allow_unsafe):
    path = write(hostile_yaml(tmp_path / "mark"))
    with pytest.raises(ConfigError, match=r"config\.yml"):
        get_cfg().merge_from_file(path, allow_unsafe=allow_unsafe)
    with pytest.raises(ConfigError, match=r"config\.yml"):
        CfgNode.load_yaml_with_base(path, allow_unsafe=allow_unsafe)
    assert not (tmp_path / "mark").exists()
    yaml.unsafe_load((tmp_path / "config.yml").read_text())
    assert (tmp_path / "mark").exists()


def test_nothing_in_a_base_is_run(write, tmp_path):
    write(hostile_yaml(tmp_path / "mark"), "base.yml")
    with pytest.raises(ConfigError, match=r"base\.yml, line 1"):
        get_cfg().merge_from_file(write("_BASE_: base.yml\nSEED: 1\n"))
    assert not (tmp_path / "mark").exists()


def test_files_are_laid_over_their_bases(write):
    write("SEED: 1\nSOLVER: {BASE_LR: 0.5, OPT: SGD}\n", "lowest.yml")
    write("_BASE_: lowest.yml\nSOLVER: {BASE_LR: 1}\n", "middle.yml")
    path = write("_BASE_: middle.yml\nSEED: 3\n")
    cfg = get_cfg()
    cfg.merge_from_file(path)
    assert (cfg.SEED, cfg.SOLVER.BASE_LR, cfg.SOLVER.OPT) == (3, 1.0, "SGD")
    assert isinstance(cfg.SOLVER.BASE_LR, float)
    merged = {"SEED": 3, "SOLVER": {"BASE_LR": 1, "OPT": "SGD"}}
    assert CfgNode.load_yaml_with_base(path) == merged


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("confg.yml", "CONFIG"),
        ("config", "CONFIG"),
        ("vcm.yaml", "projects/XReID/configs/vcm.yml"),
        ("absent/bot_r18.yml", "configs/baselines/bot_r18.yml"),
    ],
)
def test_a_file_that_is_not_there_may_have_a_neighbour_that_was_meant(write, tmp_path, name, meant):
    meant = meant.replace("CONFIG", write("SEED: 1\n"))
    with pytest.raises(FileNotFoundError) as error:
        get_cfg().merge_from_file(str(tmp_path / name))
    assert str(error.value) == f"There is no configuration file {tmp_path / name}: did you mean {meant}?"


@pytest.mark.parametrize("name", ["nothing-like-it", ".", "config.yml/below"])
def test_where_no_neighbour_is_meant_the_recipes_are_named(write, tmp_path, name):
    write("SEED: 1\n")
    with pytest.raises(OSError, match=r"projects/XReID/configs and configs/baselines") as error:
        get_cfg().merge_from_file(str(tmp_path / name))
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("config.yml", "leads back to a file that builds on it"),
        ("other.yml", "leads back to a file that builds on it"),
        ("missing.yml", "there is no file .*missing.yml"),
        (".", "there is no file"),
        ("https://example.org/base.yml", "expected the path of a file, and no address"),
        ("[a, b]", "expected the path of a file"),
        ("~nobody-of-this-name/base.yml", "_BASE_ is '~nobody"),
    ],
)
def test_a_base_that_leads_nowhere_or_round_is_refused(write, base, expected):
    write("_BASE_: config.yml\n", "other.yml")
    with pytest.raises(ConfigError, match=expected):
        get_cfg().merge_from_file(write(f"_BASE_: {base}\n"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no configuration keys"),
        ("- 1", "holds no configuration keys"),
        ("SEED: 1\nSEED: 2", "line 2: SEED is set on line 1 already"),
        ("SOLVER:\n  OPT: Adam\n  OPT: SGD", "line 3: SOLVER.OPT is set on line 2 already"),
        ("SEED: 1: 2", "line 1: it is not YAML"),
        ("SEED: !!bool maybe", "is not YAML of plain values"),
        ("SEED: 2020-99-99", "month must be in 1..12"),
        ("a: &a [*a]", "aliases stand for more than 100,000 values"),
        ("[" * 5000, "is not YAML of plain values"),
        (b"\xff\xfe\x00", "is not YAML of plain values"),
        (b"SEED: \x00", "is not YAML of plain values"),
        ("#" * (2**20 + 1), "is larger than 1,048,576 bytes"),
    ],
)
def test_what_is_no_configuration_is_told_in_one_line(write, text, expected):
    with pytest.raises(ConfigError, match=expected) as error:
        get_cfg().merge_from_file(write(text))
    assert "config.yml" in str(error.value)
    assert "\n" not in str(error.value)


def test_aliases_of_aliases_fill_no_memory(write):
    rows = ["r0: &r0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"r{n}: &r{n} [{', '.join([f'*r{n - 1}'] * 10)}]" for n in range(1, 30)]
    with pytest.raises(ConfigError, match="more than 100,000 values"):
        get_cfg().merge_from_file(write("\n".join(rows)))


def test_anchors_as_yaml_writes_them_are_read(write):
    cfg = get_cfg()
    cfg.merge_from_file(write("MODEL: {PIXEL_MEAN: &a [1.0, 2.0, 3.0], PIXEL_STD: *a}\n"))
    assert cfg.MODEL.PIXEL_MEAN == cfg.MODEL.PIXEL_STD == [1.0, 2.0, 3.0]
    cfg.MODEL.PIXEL_MEAN[0] = 9.0
    assert cfg.MODEL.PIXEL_STD == [1.0, 2.0, 3.0]


TEXT = "MODEL:\n  HEADS:\n    NAME: XReIDHead\n  PIXEL_MEAN: [1.0, 2.0, 3.0]\nSEED: 3\nOUTPUT_DIR: 'logs/x'\n"


@settings(max_examples=500, deadline=None)
@given(
    place=st.integers(0, len(TEXT)),
    inserted=st.one_of(
        st.binary(max_size=4), st.sampled_from([b"!!", b"&a ", b"*a", b"<<: ", b": ", b"\t", b"- ", b"?"])
    ),
    dropped=st.integers(0, 4),
)
def test_a_damaged_file_is_read_or_refused(tmp_path_factory, place, inserted, dropped):
    path = tmp_path_factory.getbasetemp() / "damaged.yml"
    path.write_bytes(TEXT[:place].encode() + inserted + TEXT[place + dropped :].encode())
    cfg = get_cfg()
    try:
        cfg.merge_from_file(str(path))
    except ConfigError as error:
        assert "damaged.yml" in str(error)  # noqa: PT017  (any other error is to pass through)
        return
    assert type(cfg.SEED) is int
    assert type(cfg.OUTPUT_DIR) is str
