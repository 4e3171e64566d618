import numpy as np
import pytest

from xreid_plugin.data.synthetic.canvas import FULL_LIGHT, Canvas, capsule, vector
from xreid_plugin.data.synthetic.palette import Material
from xreid_plugin.data.synthetic.pattern import COLUMNS, ROWS


@pytest.fixture
def canvas():
    canvas = Canvas(60, 40)
    canvas.clear()
    return canvas


@pytest.fixture
def quarters():
    """Materials 1, 2 above 3, 4; shade 100."""
    rows, columns = np.indices((ROWS, COLUMNS))
    materials = 1 + (columns >= COLUMNS // 2) + 2 * (rows >= ROWS // 2)
    return np.stack([materials, np.full_like(materials, 100)], axis=-1).astype(np.uint8)


def rectangle(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def test_a_texture_lies_upright_between_its_hems(canvas, quarters):
    canvas.cover(rectangle(10, 20, 30, 50), quarters, vector(20, 20), vector(0, 30), vector(20, 0))
    materials = canvas.planes[..., 0]
    assert [materials[27, 15], materials[27, 25], materials[43, 15], materials[43, 25]] == [1, 2, 3, 4]
    assert (materials[34, 12:29] < 3).all()
    assert (materials[36, 12:29] > 2).all()
    assert materials[10, 20] == Material.NOTHING
    assert canvas.planes[30, 20, 1] == 100
    assert canvas.planes[10, 20, 1] == FULL_LIGHT


def test_a_part_of_the_rows_fills_the_whole_shape(canvas, quarters):
    canvas.cover(rectangle(10, 20, 30, 50), quarters, vector(20, 20), vector(0, 30), vector(20, 0), (0.5, 1.0))
    assert set(np.unique(canvas.planes[..., 0])) == {0, 3, 4}


def test_a_texture_turns_with_its_shape(canvas, quarters):
    """Down points to the right, so that the garment's left is below."""
    canvas.cover(rectangle(5, 20, 35, 40), quarters, vector(5, 30), vector(30, 0), vector(0, -20))
    materials = canvas.planes[..., 0]
    assert [materials[36, 10], materials[24, 10], materials[36, 30], materials[24, 30]] == [1, 2, 3, 4]


def test_shapes_beyond_the_canvas_are_cut_or_left_out(canvas, quarters):
    canvas.cover(rectangle(-10, -10, 10, 10), quarters, vector(0, -10), vector(0, 20), vector(20, 0))
    assert canvas.planes[5, 5, 0] == 4
    before = canvas.planes.copy()
    canvas.cover(rectangle(100, 100, 120, 120), quarters, vector(110, 100), vector(0, 20), vector(20, 0))
    assert (canvas.planes == before).all()


def test_a_limb_without_length_is_a_disc(canvas, quarters):
    canvas.limb(vector(20, 30), vector(20, 30), (6, 6), quarters)
    assert (canvas.planes[..., 0] > 0).sum() == pytest.approx(np.pi * 6**2, rel=0.2)


def test_a_capsule_keeps_its_radii_from_both_joints():
    start, end = vector(3, 4), vector(3, 24)
    outline = capsule(start, end, 2.0, 1.0)
    distances = np.minimum(np.hypot(*(outline - start).T) - 2, np.hypot(*(outline - end).T) - 1)
    assert distances == pytest.approx(0)
    assert (outline[:, 1].min(), outline[:, 1].max()) == pytest.approx((2, 25))
