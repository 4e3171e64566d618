"""What a picture shows of a person: all that both sensors see, and of the looks only its own sensor's."""

from dataclasses import replace

import numpy as np
import pytest

from projects.SyntheticPeople import SyntheticSettings
from projects.SyntheticPeople.person import Material, Palette, draw_person
from projects.SyntheticPeople.plan import TrackletPlan
from projects.SyntheticPeople.render import render_tracklet
from xreid_plugin.data.tracklet import Modality

SETTINGS = SyntheticSettings()


def film(person, modality, pid=1, camera=1):
    plan = TrackletPlan(pid, modality, camera, 0, 3, (pid, int(modality), 0))
    return np.stack(list(render_tracklet(SETTINGS, person, plan))).astype(int)


def looking(person, materials, *, visible=None, infrared=None):
    """The person with some materials' looks replaced."""
    colours, levels = person.palette.visible.copy(), person.palette.infrared.copy()
    if visible is not None:
        colours[materials] = visible
    if infrared is not None:
        levels[materials] = infrared
    return replace(person, palette=Palette(colours, levels))


def test_people_who_swap_their_colours_look_the_same_in_infrared():
    """So whoever matches a visible tracklet with an infrared one cannot have done so by its colours."""
    people = [draw_person(SETTINGS, pid) for pid in (3, 4)]
    for person, other in (people, people[::-1]):
        dyed = looking(person, list(Material), visible=other.palette.visible)
        assert (film(person, Modality.INFRARED) == film(dyed, Modality.INFRARED)).all()
        assert (abs(film(person, Modality.VISIBLE) - film(dyed, Modality.VISIBLE)) > 40).sum() > 200
        heated = looking(person, list(Material), infrared=other.palette.infrared)
        assert (film(person, Modality.VISIBLE) == film(heated, Modality.VISIBLE)).all()
        assert (film(person, Modality.INFRARED) != film(heated, Modality.INFRARED)).any()


@pytest.mark.parametrize("camera", [1, 4])
@pytest.mark.parametrize("modality", list(Modality))
def test_a_pattern_stays_visible_in_the_pictures(modality, camera):
    """Painting the second look like the first shows what the pattern adds to a picture, whatever the shading."""
    patterned = 0
    for pid in range(1, 16):
        person = draw_person(SETTINGS, pid)
        visible, infrared = person.palette.visible[Material.TOP_A], person.palette.infrared[Material.TOP_A]
        plain = looking(person, [Material.TOP_B], visible=visible, infrared=infrared)
        contrast = abs(film(person, modality, pid=pid, camera=camera) - film(plain, modality, pid=pid, camera=camera))
        seen = contrast.mean(axis=-1)
        if (seen > 8).sum() >= 300:
            patterned += 1
            assert np.median(seen[seen > 8]) > 20, f"identity {pid}"
    assert patterned >= 8
