"""What tells people apart without looking at them does not help across the modalities of a drawn set."""

from dataclasses import replace

import numpy as np
import pytest

from projects.SyntheticPeople.person import draw_person
from projects.SyntheticPeople.plan import SyntheticSettings, plan_tracklets
from projects.SyntheticPeople.render import render_tracklet
from xreid_plugin.data.tracklet import Modality

PEOPLE = 40
SETTINGS = SyntheticSettings(train_identities=PEOPLE, size=(48, 24), frames=(12, 12))


def pictures(permuted):
    """By modality, the first frame of two tracklets of everybody, and whose they are, in the order of the set's list.

    ``permuted`` gives every visible person the colours of the next.
    """
    found = {modality: ([], []) for modality in Modality}
    people = [draw_person(SETTINGS, pid) for pid in range(1, PEOPLE + 1)]
    for plan in plan_tracklets(SETTINGS, range(1, PEOPLE + 1), 2):
        person = people[plan.pid - 1]
        if permuted:
            colours = people[plan.pid % PEOPLE].palette.visible
            person = replace(person, palette=replace(person.palette, visible=colours))
        found[plan.modality][0].append(next(render_tracklet(SETTINGS, person, plan)).mean(2))
        found[plan.modality][1].append(plan.pid)
    return found


def rank(queries, gallery, whose):
    """Mean place, 0 to 1, of the right gallery pictures in the lists of all queries: 0.5 by chance."""
    distance = np.abs(queries[:, None] - gallery[None]).reshape(len(queries), len(gallery), -1).sum(2)
    places = distance.argsort(1, kind="stable").argsort(1) / (len(gallery) - 1)
    return places[whose[Modality.INFRARED][:, None] == whose[Modality.VISIBLE]].mean()


@pytest.fixture(scope="module", params=[False, True], ids=["as drawn", "colours permuted"])
def drawn(request):
    return pictures(request.param)


CUES = {
    "brightness": lambda frames: frames.mean((1, 2))[:, None],
    "histogram": lambda frames: np.stack([np.histogram(frame, 16, (0, 256))[0] for frame in frames]),
    "raw pixels": lambda frames: frames.reshape(len(frames), -1),
    "place in the list": lambda frames: np.arange(len(frames))[:, None],
}


@pytest.mark.parametrize("cue", CUES)
def test_a_cue_that_sees_no_person_ranks_by_chance(drawn, cue):
    whose = {modality: np.array(pids) for modality, (_, pids) in drawn.items()}
    seen = {modality: CUES[cue](np.stack(frames)) for modality, (frames, _) in drawn.items()}
    assert rank(seen[Modality.INFRARED], seen[Modality.VISIBLE], whose) == pytest.approx(0.5, abs=0.08)
