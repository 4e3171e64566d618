"""The page about a run: one HTML file that needs nothing else, no network and no script."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.evaluation.results import dataset_title
from xreid_plugin.user_errors import USER_ERRORS, message_of
from xreid_plugin.visualization import run_folder
from xreid_plugin.visualization.attention import attention_of_people
from xreid_plugin.visualization.curves import cmc_panels, training_panels
from xreid_plugin.visualization.embedding import map_panels, pair_counts, similarity_panels
from xreid_plugin.visualization.panels import DARK, LIGHT, Panel, render
from xreid_plugin.visualization.rank_lists import MARKS, TITLES, frames_of, heading, rank_lists, tracklet_in_words

_THUMB_SIZE = (192, 192)  # at most, in pixels


def page_content(
    folder: Path,
    overrides: list[str],
    *,
    features: Path | None = None,
    make_features: bool = True,
    queries: int = 5,
    depth: int = 10,
    people: int = 2,
    seed: int = 0,
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Everything that the page shows, by the template's names; what cannot be made has a reason in "missing" instead.

    For folder and overrides see :func:`~xreid_plugin.visualization.run_folder.read_config`, whose errors are raised
    here, too; for features, make_features and tell :func:`~xreid_plugin.visualization.run_folder.run_features`. There
    are rank lists of some queries of each direction, with some tracklets each, and the attention to some people; the
    seed is that of all random choices.
    """
    missing: list[str] = []

    def attempt(what: str, make: Callable[[], list[Any]]) -> list[Any]:
        try:
            return make()
        except USER_ERRORS as error:
            missing.append(f"{what}: {message_of(error)}")
            return []

    cfg, configuration = run_folder.read_config(folder, overrides)
    evaluations, history = run_folder.read_evaluations(folder), run_folder.read_history(folder)
    ends = run_folder.ends_of(evaluations)
    curves = [*training_panels(history, evaluations), *cmc_panels(ends)]
    found = attempt(
        "Map, similarities and rank lists", lambda: [run_folder.run_features(cfg, features, make_features, tell)]
    )
    # That people are drawn is known from the evaluations.
    drawn = any(evaluation.results.protocol.get("drawn") for evaluation in evaluations)
    return {
        "name": folder.resolve().name,
        "model": cfg.MODEL.META_ARCHITECTURE,
        "trained_on": dataset_title({"dataset": ", ".join(cfg.DATASETS.NAMES), "drawn": drawn}),
        "length": run_folder.length(cfg, evaluations, history),
        "seed": cfg.SEED,
        "ends": ends,
        "tables": run_folder.tables_of(evaluations),
        "training": _pictures(curves),
        "embedding": attempt(
            "Map and similarities",
            lambda: _pictures([p for f in found for p in (*map_panels(f, seed), *similarity_panels(pair_counts(f)))]),
        ),
        "ranks": attempt("Rank lists", lambda: [part for f in found for part in _ranks(cfg, f, queries, depth, seed)]),
        "attention": attempt("Attention", lambda: _pictures(attention_of_people(cfg, people, seed))),
        "missing": missing,
        "highlights": run_folder.highlights(cfg),
        "configuration": configuration,
        "environment": run_folder.read_environment(folder),
    }


def page_text(content: dict[str, Any]) -> str:
    """The page as HTML; all text that does not come from the template is escaped."""
    headlines = [f"{direction}/{metric}" for direction in TITLES for metric in ("Rank-1", "mAP")]
    facts = {"headlines": headlines, "marks": {"right": MARKS[True], "wrong": MARKS[False]}}
    return render_page("report.html", **content, **facts)


def render_page(template: str, **content: Any) -> str:
    """A template of this package with its content, and the colours of light and dark paper."""
    environment = Environment(
        loader=PackageLoader("xreid_plugin.visualization"),
        # Names of tracklets, files and datasets may hold anything.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    colours = {"light": asdict(LIGHT), "dark": asdict(DARK)}
    return environment.get_template(template).render(**content, **colours)


def _pictures(panels: Sequence[Panel]) -> list[dict[str, str]]:
    """Each panel drawn alone, for light and for dark paper; the page writes its title."""
    pictures = []
    for panel in panels:
        kind, mime = ("webp", "webp") if panel.photographic else ("svg", "svg+xml")
        light, dark = (data_uri(render([panel], kind, theme, titles=False), mime) for theme in (LIGHT, DARK))
        pictures.append({"title": panel.title, "alt": panel.alt, "light": light, "dark": dark})
    return pictures


def data_uri(content: bytes, mime: str) -> str:
    """A picture within a page; its kind as in "jpeg" or "svg+xml"."""
    return f"data:image/{mime};base64,{base64.b64encode(content).decode()}"


def _ranks(cfg: Any, data: TrackletFeatures, queries: int, depth: int, seed: int) -> list[dict[str, Any]]:
    """The rank lists of each direction, with a frame of each tracklet."""
    frames = frames_of(cfg, data)

    def thumb(row: int, **more: Any) -> dict[str, Any]:
        name = f", {data.names[row]}" if data.names else ""
        return {"image": _jpeg(frames(row, 1)[0]), "about": tracklet_in_words(row, data) + name, **more}

    directions = []
    for direction, found in rank_lists(data, queries, depth, seed=seed).items():
        lists = []
        for ranked in found:
            results = zip(ranked.found.tolist(), ranked.right, ranked.similarities, strict=True)
            thumbs = [thumb(row, right=bool(right), similarity=similarity) for row, right, similarity in results]
            lists.append({"heading": heading(ranked, data), "query": thumb(ranked.query), "found": thumbs})
        directions.append({"title": TITLES[direction], "lists": lists})
    return directions


def _jpeg(frame: NDArray[np.uint8]) -> str:
    picture, content = Image.fromarray(frame), io.BytesIO()
    picture.thumbnail(_THUMB_SIZE)
    picture.save(content, "JPEG", quality=82)
    return data_uri(content.getvalue(), "jpeg")
