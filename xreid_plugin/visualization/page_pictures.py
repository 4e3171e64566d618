"""Pictures as the page carries them: inside itself, once for light and once for dark paper."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xreid_plugin.data.tracklet import Modality
from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.visualization.frame_source import FrameSource
from xreid_plugin.visualization.panels import Panel, render
from xreid_plugin.visualization.rank_lists import RankList
from xreid_plugin.visualization.rank_strips import DIRECTION_TITLES, heading
from xreid_plugin.visualization.theme import DARK, LIGHT

_MIME = {"svg": "image/svg+xml", "webp": "image/webp", "jpeg": "image/jpeg"}
_THUMB_HEIGHT = 192
_JPEG_QUALITY = 82


@dataclass(frozen=True)
class PagePicture:
    """A panel on the page.

    Attributes:
        title: the panel's title.
        alt: what the picture shows.
        light: data URI.
        dark: likewise.
    """

    title: str
    alt: str
    light: str
    dark: str


def page_picture(panel: Panel) -> PagePicture:
    """Draws a panel alone, twice; the page writes its title."""
    file_format = "webp" if panel.photographic else "svg"
    light, dark = (data_uri(render([panel], file_format, theme, titles=False), file_format) for theme in (LIGHT, DARK))
    return PagePicture(panel.title, panel.alt, light, dark)


@dataclass(frozen=True)
class Thumb:
    """A tracklet in a rank list.

    Attributes:
        image: data URI.
        about: person, camera and name, for those who do not see the picture.
        place: place from 1; 0 for the query.
        right: whether it is of the query's identity.
        distance: distance to the query.
    """

    image: str
    about: str
    place: int = 0
    right: bool = False
    distance: float = 0.0


@dataclass(frozen=True)
class PageRankList:
    """A query and its results.

    Attributes:
        heading: a line about it.
        query: the query itself.
        found: the tracklets found, the nearest first.
    """

    heading: str
    query: Thumb
    found: list[Thumb]


@dataclass(frozen=True)
class PageDirection:
    """The rank lists of a direction.

    Attributes:
        title: the direction's title.
        lists: the rank lists of its queries.
    """

    title: str
    lists: list[PageRankList]


def page_direction(
    direction: str, lists: Sequence[RankList], data: TrackletFeatures, frames: FrameSource
) -> PageDirection:
    """Rank lists with a frame of each tracklet."""
    return PageDirection(
        DIRECTION_TITLES.get(direction, direction),
        [
            PageRankList(
                heading(rank_list, data),
                Thumb(_thumb(frames, rank_list.query), _about(rank_list.query, data)),
                [
                    Thumb(
                        _thumb(frames, found.tracklet), _about(found.tracklet, data), place, found.right, found.distance
                    )
                    for place, found in enumerate(rank_list.found, 1)
                ],
            )
            for rank_list in lists
        ],
    )


def data_uri(content: bytes, file_format: str) -> str:
    """The content as a data URI."""
    return f"data:{_MIME[file_format]};base64,{base64.b64encode(content).decode()}"


def _thumb(frames: FrameSource, index: int) -> str:
    return data_uri(_jpeg(frames.read(index)[0]), "jpeg")


def _jpeg(frame: NDArray[np.uint8]) -> bytes:
    picture = Image.fromarray(frame)
    if picture.height > _THUMB_HEIGHT:
        picture = picture.resize((max(1, picture.width * _THUMB_HEIGHT // picture.height), _THUMB_HEIGHT))
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=_JPEG_QUALITY)
    return content.getvalue()


def _about(index: int, data: TrackletFeatures) -> str:
    modality = Modality(int(data.modalities[index])).name.lower()
    name = f", {data.names[index]}" if data.names is not None else ""
    return f"person {data.pids[index]}, {modality} camera {data.camids[index]}{name}"
