"""Both parsers on damaged copies: the very dataset that the lists say, or one clear error."""

import itertools
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.datasets.plain_reading import read_bupt, read_vcm
from tests.data.datasets.trees import small_bupt, small_vcm
from xreid_plugin.data.datasets.base import MetadataError
from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
from xreid_plugin.data.tracklet import Modality

VCM_FILES = ["train_name.txt", "test_name.txt", "track_train_info.txt", "track_test_info.txt", "query_IDX.txt"]
BUPT_FILES = ["data_paths.json", "train.txt", "query.txt", "gallery.txt"]
CODES = {Modality.INFRARED: 1, Modality.VISIBLE: 2}

WORDS = [
    *("0", "-1", "1", "99", "1e3", "3.0", "+4", "1_0", "0x1", "", " ", "²", "٣", "nan", "9" * 19, "9" * 400),
    *("../..", "/etc/passwd", "..", "a/b", "\\", "\0", "\ud800", "é" * 200, "x" * 300, '"', "[]", "{}", "null", "RGB"),
]


def encoded(text):
    return text.encode("utf-8", "surrogatepass")


def replace_word(content, place, word):
    """A number, or a run of letters, becomes another word."""
    marks = [i for i in range(1, len(content)) if chr(content[i]).isalnum() and not chr(content[i - 1]).isalnum()]
    if not marks:
        return content
    start = marks[place % len(marks)]
    end = next((i for i in range(start, len(content)) if not chr(content[i]).isalnum()), len(content))
    return content[:start] + encoded(word) + content[end:]


def on_lines(change):
    def mutate(content, place, _):
        rows = content.split(b"\n")
        change(rows, place % len(rows))
        return b"\n".join(rows)

    return mutate


MUTATIONS = {
    "flip": lambda c, p, w: c[: p % len(c)] + bytes([(c[p % len(c)] + 1 + p) % 256]) + c[p % len(c) + 1 :] if c else c,
    "word": replace_word,
    "insert": lambda c, p, w: c[: p % (len(c) + 1)] + encoded(w) + c[p % (len(c) + 1) :],
    "cut": lambda c, p, w: c[: p % (len(c) + 1)],
    "drop line": on_lines(lambda rows, n: rows.pop(n)),
    "repeat line": on_lines(lambda rows, n: rows.insert(n, rows[n])),
    "swap lines": on_lines(lambda rows, n: rows.insert(0, rows.pop(n))),
    "blank line": on_lines(lambda rows, n: rows.insert(n, b"")),
    "BOM": lambda c, p, w: b"\xef\xbb\xbf" + c,
    "CRLF": lambda c, p, w: c.replace(b"\n", b"\r\n"),
    "CR": lambda c, p, w: c.replace(b"\n", b"\r"),
    "UTF-16": lambda c, p, w: c.decode("utf-8", "replace").encode("utf-16"),
    "Latin-1": lambda c, p, w: c + b"\xe9",
    "zeros": lambda c, p, w: c + bytes(9),
    "brackets": lambda c, p, w: b"[" * 20_000,
}
STEPS = st.lists(
    st.tuples(st.sampled_from(sorted(MUTATIONS)), st.integers(0, 10**6), st.sampled_from(WORDS)), min_size=1, max_size=3
)
HARMLESS = ["BOM", "CRLF", "CR"]


def mutated(content, steps):
    for name, place, word in steps:
        content = MUTATIONS[name](content, place, word)
    return content


def facts(tracklets, identities=None):
    return [(list(t.paths), identities[t.pid] if identities else t.pid, CODES[t.modality], t.camid) for t in tracklets]


def vcm_facts(home):
    dataset = HITSZVCM(home)
    query = list(dataset.tasks["I2V"].query)
    others = [index for index in range(len(dataset.test)) if index not in query]
    assert list(dataset.tasks["I2V"].gallery) == others
    assert dataset.tasks["V2I"] == dataset.tasks["I2V"][::-1]
    return facts(dataset.train, dataset.train_identities), facts(dataset.test), query


def plain_vcm(home):
    return read_vcm(home, 12)


def bupt_facts(home):
    dataset = BUPTCampus(home)
    sides = [
        facts(dataset.test[index] for index in getattr(dataset.tasks[task], role))
        for task, role in itertools.product(("I2V", "V2I"), ("query", "gallery"))
    ]
    return facts(dataset.train, dataset.train_identities), *sides


def plain_bupt(home):
    train, query, gallery = read_bupt(home)
    sides = [[t for t in side if t[2] == code] for side, code in ((query, 1), (gallery, 2), (query, 2), (gallery, 1))]
    return train, *sides


def outcome(read, home):
    """What was read, or the text of a clear error; anything else passes through and fails the test."""
    try:
        return read(home)
    except (MetadataError, FileNotFoundError) as error:
        message = str(error)
    except ValueError as error:
        # Of the options against the data, not of a line.
        if type(error) is not ValueError or "no tracklet of" not in str(error):
            raise
        message = str(error)
    assert message
    assert "\n" not in message
    assert len(message) < 1200
    return message


class Copy:
    """A copy whose lists are written anew for each example."""

    def __init__(self, home, folder, files, read, plain):
        self.home, self.folder, self.read, self.plain = home, folder, read, plain
        self.original = {name: (folder / name).read_bytes() for name in files}
        self.whole = read(home)

    def check(self, changes):
        for name, content in self.original.items():
            (self.folder / name).write_bytes(mutated(content, changes.get(name, [])))
        found = outcome(self.read, self.home)
        harmless = all(len(steps) == 1 and steps[0][0] in HARMLESS for steps in changes.values())
        if isinstance(found, str):
            assert not harmless
            # Contradictions between lists name the dataset alone.
            assert any(word in found for word in (*self.original, "both training and test", "No frame", "no tracklet"))
        else:
            assert found == self.plain(self.home)
            assert found == self.whole or not harmless


@pytest.fixture(scope="module")
def vcm(tmp_path_factory):
    tree = small_vcm(tmp_path_factory.mktemp("vcm"))
    home = tree.write()
    return Copy(home, tree.info, VCM_FILES, vcm_facts, plain_vcm)


@pytest.fixture(scope="module")
def bupt(tmp_path_factory):
    home = small_bupt(tmp_path_factory.mktemp("bupt")).write()
    return Copy(home, home, BUPT_FILES, bupt_facts, plain_bupt)


def changes_of(files):
    return st.dictionaries(st.sampled_from(files), STEPS, min_size=1, max_size=2)


@settings(max_examples=900, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=changes_of(VCM_FILES))
def test_a_damaged_vcm_copy_is_read_as_its_lists_say_or_refused(vcm, changes):
    vcm.check(changes)


@settings(max_examples=900, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=changes_of(BUPT_FILES))
def test_a_damaged_bupt_copy_is_read_as_its_lists_say_or_refused(bupt, changes):
    bupt.check(changes)


@pytest.mark.parametrize("steps", [[(name, 0, "")] for name in HARMLESS])
def test_harmless_changes_change_nothing(vcm, bupt, steps):
    for copy in (vcm, bupt):
        copy.check(dict.fromkeys(copy.original, steps))


def spoil(path, how):
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "loop":
        path.symlink_to(path.name)
    elif how == "pipe to nowhere":
        path.symlink_to("/nonexistent/file")


@pytest.mark.parametrize("how", ["missing", "folder", "loop", "pipe to nowhere"])
@pytest.mark.parametrize(
    ("build", "files", "read"), [(small_vcm, VCM_FILES, vcm_facts), (small_bupt, BUPT_FILES, bupt_facts)]
)
def test_what_is_no_file_is_named(tmp_path, build, files, read, how):
    tree = build(tmp_path / "copy")
    home = tree.write()
    shutil.copytree(home, tmp_path / "whole")
    for name in files:
        path = next(home.rglob(name))
        spoil(path, how)
        with pytest.raises(FileNotFoundError, match=name):
            read(home)
        shutil.rmtree(home)
        shutil.copytree(tmp_path / "whole", home)
