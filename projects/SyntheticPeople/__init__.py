"""Rendered walkers in the layouts of HITSZ-VCM and BUPTCampus, and in videos: for demonstrations and tests."""

from projects.SyntheticPeople.layouts import write_bupt, write_vcm, write_videos
from projects.SyntheticPeople.plan import SyntheticSettings
from projects.SyntheticPeople.render import write_preview

__all__ = ["SyntheticSettings", "write_bupt", "write_preview", "write_vcm", "write_videos"]
