import numpy as np
import pytest

from xreid_plugin.data.synthetic.camera import View, draw_camera, draw_view
from xreid_plugin.data.synthetic.settings import SyntheticSettings

POINT = np.array([[[0.2, 1.0, 0.1]]])  # to the right, up, ahead


def view(yaw, pitch=0.0):
    return View(yaw, pitch, np.array([10.0]), np.array([[24.0, 90.0]]))


def test_projection_from_the_front_and_from_both_sides():
    assert view(0.0).project(POINT)[0, 0] == pytest.approx([24 + 2, 90 - 10])
    assert view(np.pi / 2).project(POINT)[0, 0] == pytest.approx([24 + 1, 90 - 10])
    assert view(-np.pi / 2).project(POINT)[0, 0] == pytest.approx([24 - 1, 90 - 10])


def test_a_camera_from_above_sees_nearer_points_lower():
    assert view(0.0, pitch=0.5).project(POINT)[0, 0] == pytest.approx([24 + 2, 90 - 10 + 0.5])


def test_one_point_per_frame_is_projected_as_many_are():
    assert view(0.3, 0.2).project(POINT[:, 0]) == pytest.approx(view(0.3, 0.2).project(POINT)[:, 0])


def test_a_cylinder_is_as_wide_as_its_axis_across_the_view():
    assert view(0.0).half_width(0.3, 0.1) == pytest.approx(0.15)
    assert view(np.pi / 2).half_width(0.3, 0.1) == pytest.approx(0.05)


@pytest.mark.parametrize("camera", [1, 2, 3, 4])
def test_a_person_stays_in_the_frame_and_the_surroundings_move_against_the_walk(camera):
    settings = SyntheticSettings()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        seen, travelled = draw_view(rng, draw_camera(settings, camera), 1.05, 24, (96, 48), 0.05)
        assert (seen.origin[:, 1] <= 96).all()
        assert (seen.origin[:, 1] - seen.scale >= 0).all()
        assert (np.sign(travelled[1:]) == np.sign(seen.yaw)).all()
