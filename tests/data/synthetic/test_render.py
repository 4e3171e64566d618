from dataclasses import replace

import numpy as np
import pytest

from xreid_plugin.data.synthetic.palette import Material, Palette
from xreid_plugin.data.synthetic.person import draw_person
from xreid_plugin.data.synthetic.plan import TrackletPlan, plan_unpaired
from xreid_plugin.data.synthetic.render import render_tracklet
from xreid_plugin.data.synthetic.settings import SyntheticSettings
from xreid_plugin.data.tracklet import Modality

SETTINGS = SyntheticSettings()


def plan(modality, pid=1, camera=1):
    return TrackletPlan(pid, modality, camera, 0, 3, (pid, int(modality), 0))


def film(person, modality, settings=SETTINGS, **where):
    return np.stack(list(render_tracklet(settings, person, plan(modality, **where)))).astype(int)


def brightness(frames):
    """Luma of blue, green, red; the grey level of infrared frames."""
    return frames @ np.array([0.114, 0.587, 0.299]) if frames.shape[-1] == 3 else frames[..., 0]


def with_materials(palette, materials, *, visible=None, infrared=None):
    """The palette with some materials' looks replaced."""
    colours, levels = palette.visible.copy(), palette.infrared.copy()
    if visible is not None:
        colours[materials] = visible
    if infrared is not None:
        levels[materials] = infrared
    return Palette(colours, levels)


@pytest.mark.parametrize("size", [(96, 48), (288, 144)])
@pytest.mark.parametrize(("modality", "channels"), [(Modality.VISIBLE, 3), (Modality.INFRARED, 1)])
def test_frames_have_the_requested_size(size, modality, channels):
    frames = film(draw_person(SETTINGS, 1), modality, SyntheticSettings(size=size))
    assert frames.shape == (3, *size, channels)


def test_a_recoloured_garment_changes_the_visible_picture_and_not_the_infrared_one():
    person = draw_person(SETTINGS, 3)
    garments = [Material.TOP_A, Material.TOP_B, Material.BOTTOM_A, Material.BOTTOM_B]
    dyed = replace(person, palette=with_materials(person.palette, garments, visible=[10, 20, 250]))
    assert (film(person, Modality.INFRARED) == film(dyed, Modality.INFRARED)).all()
    assert (abs(film(person, Modality.VISIBLE) - film(dyed, Modality.VISIBLE)) > 40).sum() > 200


def test_an_infrared_level_does_not_change_the_visible_picture():
    person = draw_person(SETTINGS, 3)
    heated = replace(person, palette=with_materials(person.palette, [Material.TOP_A], infrared=255))
    assert (film(person, Modality.VISIBLE) == film(heated, Modality.VISIBLE)).all()
    assert (film(person, Modality.INFRARED) != film(heated, Modality.INFRARED)).any()


@pytest.mark.parametrize("camera", [1, 2, 3, 4])
@pytest.mark.parametrize("modality", list(Modality))
def test_a_pattern_stays_visible_in_the_pictures(modality, camera):
    """Painting the second phase like the first shows what the pattern adds to a picture, whatever the shading."""
    patterned = 0
    for pid in range(1, 16):
        person = draw_person(SETTINGS, pid)
        first, second = Material.TOP_A, Material.TOP_B
        looks = {"visible": person.palette.visible[first], "infrared": person.palette.infrared[first]}
        plain = replace(person, palette=with_materials(person.palette, [second], **looks))
        with_pattern, without = (brightness(film(one, modality, pid=pid, camera=camera)) for one in (person, plain))
        contrast = abs(with_pattern - without)
        places = contrast > 8
        if places.sum() < 300:
            continue
        patterned += 1
        assert np.median(contrast[places]) > 25, f"identity {pid}"
    assert patterned >= 8


def test_paired_sensors_see_one_walk_and_others_do_not():
    """With everything but the person's outline taken away, a shared walk gives shared outlines."""
    person = draw_person(SETTINGS, 2)

    def outline(modality, walk):
        shared = TrackletPlan(2, modality, 1, 0, 3, walk)
        dark, bright = (
            np.stack(list(render_tracklet(SETTINGS, replace(person, palette=evenly(level)), shared))).astype(int)
            for level in (0, 255)
        )
        return abs(dark - bright).mean(axis=-1) > 60

    def evenly(level):
        return with_materials(person.palette, list(Material)[1:], visible=level, infrared=level)

    infrared = outline(Modality.INFRARED, (2, 0))
    paired, single = (outline(Modality.VISIBLE, walk) for walk in ((2, 0), (2, 1)))
    # Occluders are the sensors' own: compare where both see the person's upper half.
    agreement = [(infrared & other)[:, :60].sum() / (infrared | other)[:, :60].sum() for other in (paired, single)]
    assert agreement[0] > 0.96 > 0.93 > agreement[1]


def test_tracklets_of_one_identity_are_walks_of_their_own():
    person = draw_person(SETTINGS, 1)
    plans = [plan for plan in plan_unpaired(SETTINGS, [1]) if plan.modality is Modality.INFRARED]
    first, second = (next(render_tracklet(SETTINGS, person, plan)) for plan in plans[:2])
    assert (first != second).mean() > 0.5
