import ast
import importlib.util
import inspect
import re

from fastreid.config import CfgNode, defaults

from xreid_plugin import config


def leaves(node, prefix=""):
    """Every key below a node that is no node itself, by its full name."""
    found = {}
    for key, value in node.items():
        found.update(leaves(value, f"{prefix}{key}.") if isinstance(value, CfgNode) else {prefix + key: value})
    return found


def host_as_released():
    """The host's defaults, executed anew, so that nothing done to them in this process shows."""
    spec = importlib.util.spec_from_file_location("fastreid.config.anew", defaults.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return leaves(module._C)


def assigned_keys():
    """Of every assignment to a key in the source: its first line, and the keys that it gives a value."""
    found = []
    for statement in ast.walk(ast.parse(inspect.getsource(config))):
        if not isinstance(statement, ast.Assign):
            continue
        for target in statement.targets:
            if isinstance(target, ast.Attribute) and target.attr.isupper():
                found.append((statement.lineno, _keys_of(target.attr, statement.value)))
    return found


def _keys_of(name, value):
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "CfgNode"):
        return [name]
    return [key.value for argument in value.args for key in argument.keys]


def test_every_key_has_a_comment_of_its_own_above_it():
    lines = inspect.getsource(config).splitlines()
    without = [(number, keys) for number, keys in assigned_keys() if keys and not is_comment(lines[number - 2])]
    assert without == []


def is_comment(line):
    return re.match(r"\s*# \S", line) is not None


def test_get_cfg_adds_the_keys_of_the_source_and_nothing_else():
    added = set(leaves(config.get_cfg())) - set(host_as_released())
    of_source = sorted(key for _, keys in assigned_keys() for key in keys)
    assert sorted(key.rpartition(".")[2] for key in [*added, *OTHER_DEFAULTS]) == of_source
    assert added


# Keys of the host that mean something else here.
OTHER_DEFAULTS = {"MODEL.BACKBONE.SIE_COE": 1.0}


def test_the_host_keeps_its_defaults_but_for_the_device_and_the_scale_of_cameras():
    ours = leaves(config.get_cfg())
    changed = {key: ours.get(key) for key, value in host_as_released().items() if ours.get(key) != value}
    assert changed == {"MODEL.DEVICE": "auto"} | OTHER_DEFAULTS


def test_every_configuration_is_a_copy():
    first = config.get_cfg()
    first.INPUT.CLIP.FRAMES = 3
    first.MODEL.BACKBONE.CAMERAS.append(1)
    second = config.get_cfg()
    assert second.INPUT.CLIP.FRAMES != 3
    assert second.MODEL.BACKBONE.CAMERAS == []


def test_a_configuration_survives_being_written_and_read(tmp_path):
    cfg = config.get_cfg()
    cfg.MODEL.CPC.TEMPERATURE = 0.25
    path = tmp_path / "config.yaml"
    path.write_text(cfg.dump())
    again = config.get_cfg()
    again.merge_from_file(str(path))
    assert leaves(again) == leaves(cfg)
