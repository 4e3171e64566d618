"""Rendered walkers in the layouts of HITSZ-VCM and BUPTCampus, for demonstrations and tests without the real sets."""

from xreid_plugin.data.synthetic.layouts import write_bupt, write_vcm
from xreid_plugin.data.synthetic.plan import SyntheticSettings
from xreid_plugin.data.synthetic.render import write_preview

__all__ = ["SyntheticSettings", "write_bupt", "write_preview", "write_vcm"]
