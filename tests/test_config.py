"""The plugin's keys, and the page that is made of them."""

import importlib.util

from fastreid.config import defaults

from tests.docs.markdown import CHECKOUT
from tests.tools.conftest import load_tool  # noqa: F401
from xreid_plugin import config
from xreid_plugin.host.configuration import leaves

KEYS = [key for keys in config.KEYS.values() for key in keys]
# Keys of the host that mean something else here.
OTHER_DEFAULTS = {"MODEL.BACKBONE.SIE_COE": 1.0}


def host_as_released():
    """The host's defaults, executed anew, so that nothing done to them in this process shows."""
    spec = importlib.util.spec_from_file_location("fastreid.config.anew", defaults.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(leaves(module._C))


def test_the_table_is_what_is_added_to_the_host_and_the_host_stays_as_it_is():
    host, ours = host_as_released(), dict(leaves(config.get_cfg()))
    # Other tests of this process may have imported a project's module.
    ours = {key: value for key, value in ours.items() if not key.startswith("MODEL.CLIP_REID.")}
    assert {key.name for key in KEYS} == (ours.keys() - host.keys()) | OTHER_DEFAULTS.keys()
    changed = {key: ours.get(key) for key, value in host.items() if ours.get(key) != value}
    assert changed == {"MODEL.DEVICE": "auto"} | OTHER_DEFAULTS


def test_every_default_is_allowed():
    assert [key.name for key in KEYS if key.allowed is not None and key.default not in key.allowed] == []


def test_every_configuration_is_a_copy():
    first = config.get_cfg()
    first.MODEL.BACKBONE.CAMERAS.append(1)
    assert config.get_cfg().MODEL.BACKBONE.CAMERAS == []


def test_the_page_is_what_the_table_says(load_tool):  # noqa: F811
    tool = load_tool("make_config_docs")
    assert (CHECKOUT / "docs/configuration.md").read_text(encoding="utf-8") == tool.config_page(), tool.COMMAND
