"""What a configuration key that holds a list may be."""

from collections.abc import Iterator
from typing import Any

from fastreid.config import CfgNode

from xreid_plugin.engine.config_values import Fault


def list_faults(cfg: CfgNode) -> Iterator[Fault]:
    """Lists of another length, with values of another type or out of range."""
    sides = "it must be height and width in pixels, whole numbers above 0"
    for key, size in (("INPUT.SIZE_TRAIN", cfg.INPUT.SIZE_TRAIN), ("INPUT.SIZE_TEST", cfg.INPUT.SIZE_TEST)):
        if len(size) != 2 or any(type(side) is not int or side < 1 for side in size):
            yield Fault(key, size, sides, [288, 144])
    for key, values, least in (
        ("MODEL.PIXEL_MEAN", cfg.MODEL.PIXEL_MEAN, 0.0),
        ("MODEL.PIXEL_STD", cfg.MODEL.PIXEL_STD, 1e-6),
        ("INPUT.REA.VALUE", cfg.INPUT.REA.VALUE, 0.0),
    ):
        if len(values) != 3 or any(not _is_number(value) or not least <= value <= 255 for value in values):
            yield Fault(
                key, values, "it must be three numbers, red, green and blue, of 0 to 255", [127.5, 127.5, 127.5]
            )
    area = cfg.INPUT.REA.AREA
    if len(area) != 2 or not all(map(_is_number, area)) or not 0 < area[0] <= area[1] <= 1:
        yield Fault("INPUT.REA.AREA", area, "it must be the least and the greatest share, 0 to 1", [0.02, 0.2])
    factors = cfg.SOLVER.LR_FACTORS
    if not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str) and _is_number(pair[1])
        for pair in factors
    ):
        yield Fault("SOLVER.LR_FACTORS", factors, "it must be [pattern, factor] pairs", [["mii.*", 10.0]])
    steps = cfg.SOLVER.STEPS
    if any(type(step) is not int or step < 0 for step in steps) or list(steps) != sorted(steps):
        yield Fault("SOLVER.STEPS", steps, "it must be epochs in rising order", [30, 55])
    if any(type(camera) is not int for camera in cfg.MODEL.BACKBONE.CAMERAS):
        yield Fault("MODEL.BACKBONE.CAMERAS", cfg.MODEL.BACKBONE.CAMERAS, "it must be whole numbers", [])


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
