"""Rendered walkers in the layouts of HITSZ-VCM and BUPTCampus, and in videos: for demonstrations and tests."""

from xreid_plugin.data.synthetic.layouts import write_bupt, write_vcm, write_videos
from xreid_plugin.data.synthetic.plan import SyntheticSettings
from xreid_plugin.data.synthetic.render import write_preview

__all__ = ["SyntheticSettings", "write_bupt", "write_preview", "write_vcm", "write_videos"]
