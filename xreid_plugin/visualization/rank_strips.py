"""Rank lists as strips of frames: the query on the left, its results beside it, right and wrong ones marked."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from xreid_plugin.data.tracklet import Modality
from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.visualization.frame_source import FrameSource
from xreid_plugin.visualization.panels import Panel, drawable
from xreid_plugin.visualization.rank_lists import RankList
from xreid_plugin.visualization.theme import Theme

RIGHT_MARK, WRONG_MARK = "✓", "✗"
DIRECTION_TITLES = {
    "I2V": "I2V: infrared queries, visible gallery",
    "V2I": "V2I: visible queries, infrared gallery",
}
# Measures of the strip, in widths of a frame.
_GAP, _QUERY_GAP, _HEADING, _CAPTION, _KEY = 0.16, 0.5, 0.5, 0.42, 0.5
_MARK = 0.16  # radius
_CELL_INCHES = 0.95
_LEAST_INCHES = 7.0


def strips_panel(
    direction: str,
    lists: Sequence[RankList],
    data: TrackletFeatures,
    frames: FrameSource,
    per_tracklet: int = 1,
    with_key: bool = True,
) -> Panel:
    """One row per query.

    Args:
        direction: "I2V" or "V2I".
        lists: the rank lists, at least one.
        data: the features that they index.
        frames: the frames of the same tracklets.
        per_tracklet: number of frames shown of a tracklet, one below the other.
        with_key: whether to explain the signs above the rows.
    """
    pictures = {
        index: np.concatenate(list(frames.read(index, per_tracklet)))
        for rank_list in lists
        for index in (rank_list.query, *(found.tracklet for found in rank_list.found))
    }
    picture = next(iter(pictures.values()))
    tall = picture.shape[0] / picture.shape[1]
    wide = max(len(rank_list.found) for rank_list in lists)
    above = _KEY if with_key else 0
    height = above + len(lists) * _row_height(tall)

    def draw(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        if with_key:
            _draw_key(axes, theme)
        for number, rank_list in enumerate(lists):
            _draw_row(axes, above + number * _row_height(tall), rank_list, data, pictures, theme)
        axes.set(xlim=(-0.1, _row_width(wide)), ylim=(height, 0), aspect="equal", anchor="N")
        axes.set_axis_off()

    return Panel(
        title=DIRECTION_TITLES.get(direction, direction),
        alt=alt_text(lists),
        draw=draw,
        height=height * strip_width(wide) / (_row_width(wide) + 0.1),
        photographic=True,
    )


def strip_width(depth: int) -> float:
    """Inches that a strip of ``depth`` gallery tracklets should be wide."""
    return _CELL_INCHES * _row_width(depth)


def alt_text(lists: Sequence[RankList]) -> str:
    """How many queries there are, and how many have a match first."""
    first = sum(rank_list.found[0].right for rank_list in lists)
    return f"Rank lists of {len(lists)} queries, of which {first} have a tracklet of the same person in first place."


def heading(rank_list: RankList, data: TrackletFeatures) -> str:
    """The query and how well it does, in one line."""
    query = rank_list.query
    modality = Modality(int(data.modalities[query])).name.lower()
    percent = f"{100 * rank_list.average_precision:.0f}\N{NO-BREAK SPACE}%"
    return (
        f"Person {data.pids[query]}, {modality} camera {data.camids[query]}: "
        f"first match at place {rank_list.first_match}; average precision {percent}"
    )


def _row_height(tall: float) -> float:
    return _HEADING + tall + _CAPTION


def _row_width(depth: int) -> float:
    # With space for the line above the row.
    return max(_LEAST_INCHES / _CELL_INCHES, 1 + _QUERY_GAP + depth * (1 + _GAP))


def _draw_key(axes: Axes, theme: Theme) -> None:
    """One line: what the frames' edges and signs mean, and the numbers below them."""
    middle = _KEY / 2
    for left, right, text in ((0.0, True, "solid: the same person"), (2.15, False, "dashed: another person")):
        _draw_mark(axes, left, middle - _MARK, right, theme)
        axes.text(
            left + 0.42, middle, text, fontsize=9, va="center_baseline", color=theme.right if right else theme.wrong
        )
    axes.text(4.45, middle, "below a frame: place and cosine distance", fontsize=9, va="center_baseline")


def _draw_row(
    axes: Axes,
    top: float,
    rank_list: RankList,
    data: TrackletFeatures,
    pictures: dict[int, NDArray[np.uint8]],
    theme: Theme,
) -> None:
    axes.text(0, top + 0.36, drawable(heading(rank_list, data), 120), fontsize=10, fontweight="bold")
    top += _HEADING
    _draw_picture(axes, 0, top, pictures[rank_list.query], theme.ink)
    _caption(axes, 0, top, pictures[rank_list.query], "query")
    for place, found in enumerate(rank_list.found, 1):
        left = 1 + _QUERY_GAP + (place - 1) * (1 + _GAP)
        picture = pictures[found.tracklet]
        _draw_picture(axes, left, top, picture, theme.right if found.right else theme.wrong, dashed=not found.right)
        _draw_mark(axes, left, top, found.right, theme)
        _caption(axes, left, top, picture, f"{place}.  {found.distance:.2f}")


def _draw_picture(
    axes: Axes, left: float, top: float, picture: NDArray[np.uint8], colour: str, dashed: bool = False
) -> None:
    height = picture.shape[0] / picture.shape[1]
    axes.imshow(picture, extent=(left, left + 1, top + height, top), interpolation="none")
    style = "--" if dashed else "-"
    axes.add_patch(Rectangle((left, top), 1, height, fill=False, edgecolor=colour, linewidth=2.4, linestyle=style))


def _draw_mark(axes: Axes, left: float, top: float, right: bool, theme: Theme) -> None:
    """A sign in the corner, which does not depend on seeing colours."""
    centre = (left + _MARK, top + _MARK)
    axes.add_patch(Circle(centre, _MARK, facecolor=theme.right if right else theme.wrong, edgecolor=theme.paper))
    mark = RIGHT_MARK if right else WRONG_MARK
    axes.text(*centre, mark, color=theme.paper, fontsize=9, fontweight="bold", ha="center", va="center_baseline")


def _caption(axes: Axes, left: float, top: float, picture: NDArray[np.uint8], text: str) -> None:
    bottom = top + picture.shape[0] / picture.shape[1]
    axes.text(left + 0.5, bottom + 0.09, text, fontsize=9, ha="center", va="top")
