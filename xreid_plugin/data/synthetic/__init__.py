"""Rendered walkers in the layouts of HITSZ-VCM and BUPTCampus, for demonstrations and tests without the real sets."""

from xreid_plugin.data.synthetic.bupt import write_bupt
from xreid_plugin.data.synthetic.preview import write_preview
from xreid_plugin.data.synthetic.settings import SyntheticError, SyntheticSettings
from xreid_plugin.data.synthetic.vcm import write_vcm

__all__ = ["SyntheticError", "SyntheticSettings", "write_bupt", "write_preview", "write_vcm"]
