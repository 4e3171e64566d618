import html
import io
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from PIL import Image

from tests.gallery.galleries import EMPTY, batch
from tests.tools.html_page import HtmlPage
from tests.visualization.test_run_folder import evaluated
from xreid_plugin.engine.setup import checkpoint_to_evaluate
from xreid_plugin.evaluation.features import load_features, save_features
from xreid_plugin.evaluation.results import ALONE, Results
from xreid_plugin.gallery.answers import answer
from xreid_plugin.gallery.store import Gallery, add, create
from xreid_plugin.predictor import TrackletPredictor
from xreid_plugin.visualization.run_folder import Evaluation, ends_of, read_evaluations, read_history

pytestmark = pytest.mark.slow

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# In a frame, since a window of Chromium is at least 500 pixels wide. The page itself allows no script.
FRAME = """<meta name="color-scheme" content="light dark"><title></title>
<iframe width="{}" height="900" srcdoc="{}"></iframe>
<script>addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument, {{ scrollWidth, clientWidth }} = page.documentElement;
  const pictures = [...page.images].map(image => image.naturalWidth && image.clientWidth);
  const back = getComputedStyle(page.body).backgroundColor;
  document.title = JSON.stringify([scrollWidth, clientWidth, Math.min(...pictures), back]);
}})</script>"""

HOSTILE = "<script>alert(1)</script>\"'><img src=https://evil.example onerror=x>{{ 7*7 }}&amp;\u202e人"


@pytest.fixture(scope="module")
def page(report_page, small_content):
    return HtmlPage(report_page.page_text(small_content))


def spoilt(value):
    """The same content with every text, at any depth, ended by the hostile one."""
    if isinstance(value, str):
        return value if value.startswith("data:") else value + HOSTILE
    if isinstance(value, tuple | list):
        return type(value)(map(spoilt, value))
    if isinstance(value, dict):
        return {key: spoilt(part) for key, part in value.items()}
    return value


def test_the_page_is_well_formed_and_made_for_all(small_content, page):
    assert small_content["missing"] == []
    assert len(small_content["attention"]) == 2
    assert [len(direction["lists"]) for direction in small_content["ranks"]] == [2, 2]
    assert page.faults == []
    assert [attributes["lang"] for attributes in page.all("html")] == ["en"]
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert len(page.all("img")) > 20
    assert all(len(image["alt"]) > 10 for image in page.all("img"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(header.get("scope") for header in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table")) >= 3
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    named = [attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes]
    assert {link["href"].removeprefix("#") for link in page.all("a")} | set(named) <= set(ids)
    assert "MODEL.<wbr>" in page.source


def test_the_page_needs_nothing_else(page):
    assert not re.search(r"https?:|@import|url\(", page.source)
    assert page.all("script") == []
    sources = [attributes.get("src") or attributes.get("srcset") for _, attributes in page.elements]
    assert all(source.startswith("data:image/") for source in sources if source)


@pytest.fixture(scope="module")
def search_page(load_tool, tmp_path_factory):
    """Three answers of three tracklets each, with strips and long names."""
    folder, strip = tmp_path_factory.mktemp("galleries") / ("gallery" * 20), io.BytesIO()
    Image.new("RGB", (256, 128)).save(strip, "JPEG")
    rows, records = batch(9)
    records = [one._replace(identity="somebody" * 20, source="/a" * 90, strip=strip.getvalue()) for one in records]
    create(folder, EMPTY)
    add(folder, [(rows, records)])
    gallery = Gallery(folder)
    answers = answer(gallery, rows[:3], records[:3], top=3)
    return HtmlPage(load_tool("_gallery_answers").search_page(gallery, answers, 9, ["camera " + "gate" * 40]))


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
@pytest.mark.parametrize("name", ["page", "search_page"])
@pytest.mark.parametrize(("width", "scheme", "back"), [(390, 1, "rgb(243, 245, 247)"), (1280, 0, "rgb(15, 18, 22)")])
def test_a_page_fits_the_window_and_shows_all_pictures(request, tmp_path, name, width, scheme, back):
    shown = FRAME.format(width, html.escape(request.getfixturevalue(name).source))
    (tmp_path / "page.html").write_text(shown, encoding="utf-8")
    flags = f"--headless --no-sandbox --disable-gpu --window-size=1400,1000 --user-data-dir={tmp_path}/profile"
    theme = f"--blink-settings=preferredColorScheme={scheme}"
    command = [str(BROWSER), *flags.split(), theme, "--dump-dom", (tmp_path / "page.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    wide, window, narrowest, shown_back = json.loads(re.search("<title>(.+?)</title>", dom)[1])
    # Nothing is wider than the window, but for what scrolls by itself.
    assert width - 20 <= wide <= window <= width
    assert narrowest > 0
    assert shown_back == back


def test_hostile_texts_stay_texts(report_page, small_content, page):
    protocol = {HOSTILE: HOSTILE, "a": [HOSTILE], "dataset": HOSTILE}
    results = Results({f"{HOSTILE}/mAP": 1.0}, protocol, {}, {"checkpoint": HOSTILE, "time": HOSTILE})
    odd = Evaluation("epoch 1" + HOSTILE, 1, HOSTILE, results)
    content = {name: spoilt(part) for name, part in small_content.items() if name not in ("tables", "ends")}
    content |= {"missing": [HOSTILE], "tables": [(HOSTILE, [odd])], "ends": {HOSTILE: (odd, odd)}}
    hostile = HtmlPage(report_page.page_text(content))
    assert hostile.faults == []
    assert {tag for tag, _ in hostile.elements} <= {tag for tag, _ in page.elements} | {"li"}
    assert len(hostile.all("img")) == len(page.all("img"))
    assert not any(name.startswith("on") for _, attributes in hostile.elements for name in attributes)
    assert "https://evil.example" in hostile.text
    assert "{{ 7*7 }}" in hostile.all("img")[-1]["alt"]


@pytest.fixture
def run(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


def test_a_run_is_read_as_it_was_trained(report_page, run):
    with pytest.raises(FileNotFoundError, match=r"config\.yaml"):
        report_page.read_config(run.parent, [])
    # Where the configuration leaves the length of an epoch to the data, evaluations tell it.
    keys = ["MODEL.CPC.MOMENTUM", "0.7", "SOLVER.MAX_EPOCH", "9", "SOLVER.ITERS_PER_EPOCH", "0"]
    (cfg, _), evaluations, history = report_page.read_config(run, keys), read_evaluations(run), read_history(run)
    assert report_page.length(cfg, evaluations, history) == "2 of 9 epochs"
    assert [evaluation.label for evaluation in evaluations] == ["before training", "epoch 1", "epoch 2"]
    assert max(history["lr"][0]) == 6
    assert dict(report_page.read_environment(run))["GPU available"]
    assert str(run) == cfg.OUTPUT_DIR
    found = dict(report_page.highlights(cfg))
    assert found["MODEL.CPC.MOMENTUM"] == "0.7"
    assert "48, 24" in found["INPUT.SIZE_TRAIN"]
    assert "MODEL.CPC.ENABLED" not in found


def test_the_checkpoint_is_the_runs_last_unless_another_is_asked_for(report_page, run):
    # As a run is that began with weights, or whose early checkpoint was evaluated.
    (run / "config.yaml").write_text(report_page.read_config(run, ["MODEL.WEIGHTS", "began_with.pth"])[1])
    cfg, configuration = report_page.read_config(run, [])
    assert checkpoint_to_evaluate(cfg) == run / "model_final.pth"
    assert "began_with.pth" in configuration
    assert report_page.read_config(run, ["MODEL.WEIGHTS", "a.pth"])[0].MODEL.WEIGHTS == "a.pth"


def test_metrics_stand_side_by_side_under_one_protocol_and_of_one_run_alone(report_page, run, tmp_path):
    before = report_page.tables_of(read_evaluations(run))
    assert [len(group) for _, group in before] == [3]
    assert "drawn people" in before[0][0]
    evaluated(run, ALONE, 1, checkpoint="model_final.pth", frames="dense")
    evaluated(run, ALONE, 2, checkpoint="model_final.pth", frames="dense", same_camera="keep")
    evaluated(run, ALONE, 3, checkpoint=str(tmp_path / "elsewhere.pth"), frames="dense")
    tables = report_page.tables_of(read_evaluations(run))
    assert tables[0] == before[0]
    assert [[one.results.metrics["I2V/mAP"] for one in group] for _, group in tables[1:]] == [[1.0], [2.0], [3.0]]
    assert all("dense frames" in title for title, _ in tables[1:])
    assert "other models" in tables[3][0]
    # The last row of the run is still its own.
    found = read_evaluations(run)
    assert ends_of(found)[""][1].label == "epoch 2"
    # Also where training made none, since other models' metrics are not the run's.
    assert ends_of([one for one in found if one.epoch is None])[""][1].results.metrics["I2V/mAP"] == 2.0


def test_features_are_of_the_checkpoint_that_is_shown(report_page, run):
    told = []

    def features(*overrides):
        return report_page.run_features(report_page.read_config(run, list(overrides))[0], True, told.append)

    saved = load_features(run / "features.npz")
    assert saved.protocol["model"] == TrackletPredictor(run / "model_final.pth", "cpu").fingerprint
    assert features().protocol == saved.protocol
    assert told == []
    evaluations = sorted(run.glob("results_*.json"))
    # Newer than the checkpoint, but of another model.
    save_features(run / "features.npz", features("MODEL.WEIGHTS", str(run / "model_0000.pth")))
    assert len(told) == 1
    assert load_features(run / "features.npz").protocol["model"] != saved.protocol["model"]
    assert features().protocol["model"] == saved.protocol["model"]
    assert len(told) == 2
    assert (run / "features_model_final.npz").is_file()
    assert sorted(run.glob("results_*.json")) == evaluations
    # A file that is asked for is of a model of the run, or refused: no page shows another's.
    options = {"features": run / "features.npz", "queries": 1, "depth": 1, "people": 1}
    for protocol in ({**saved.protocol, "model": "another"}, {}):
        save_features(run / "features.npz", replace(saved, protocol=protocol))
        with pytest.raises(ValueError, match=r"features\.npz"):
            report_page.page_content(run, [], **options)
    save_features(run / "features.npz", features("MODEL.WEIGHTS", str(run / "model_0000.pth")))
    content = report_page.page_content(run, [], **options)
    line = "even frames, 3 a clip, 48x24; same camera: exclude"
    assert content["features_of"] == f"epoch 1: HITSZVCM layout, drawn people, {line}"
    text = report_page.page_text(content)
    assert text.count(f"epoch 1: HITSZVCM layout, drawn people, {line}</p>") == 2
    assert text.count(f"epoch 2: HITSZVCM layout, drawn people, {line}</p>") == 2
