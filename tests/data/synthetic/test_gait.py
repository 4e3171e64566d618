import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xreid_plugin.data.synthetic.gait import ANKLE_HEIGHT, walk
from xreid_plugin.data.synthetic.person import draw_person
from xreid_plugin.data.synthetic.settings import SyntheticSettings


@settings(max_examples=30, deadline=None)
@given(pid=st.integers(1, 500), phase=st.floats(0, 6.3))
def test_bones_keep_their_lengths_and_the_lower_ankle_its_height(pid, phase):
    person = draw_person(SyntheticSettings(), pid)
    body, gait = person.body, person.gait
    pose = walk(body, gait, np.array([phase]))
    thigh = np.linalg.norm(pose.knees - pose.hips, axis=-1)
    shin = np.linalg.norm(pose.ankles - pose.knees, axis=-1)
    assert thigh == pytest.approx(0.52 * body.leg)
    assert shin == pytest.approx(0.48 * body.leg - ANKLE_HEIGHT)
    lowest = pose.ankles[..., 1].min()
    assert ANKLE_HEIGHT - 1e-9 <= lowest <= ANKLE_HEIGHT + gait.bounce + 1e-9


def test_half_a_cycle_later_the_legs_have_changed_roles():
    person = draw_person(SyntheticSettings(), 1)
    pose = walk(person.body, person.gait, np.array([0.7, 0.7 + np.pi]))
    left_then_right = pose.ankles[0, 0, 1:], pose.ankles[1, 1, 1:]
    assert left_then_right[0] == pytest.approx(left_then_right[1])
    assert pose.ankles[0, 0, 2] != pytest.approx(pose.ankles[0, 1, 2], abs=0.02)


def test_an_arm_swings_against_the_leg_of_its_side():
    person = draw_person(SyntheticSettings(), 1)
    pose = walk(person.body, person.gait, np.array([np.pi / 2]))
    for side in (0, 1):
        assert pose.knees[0, side, 2] * pose.elbows[0, side, 2] < 0
