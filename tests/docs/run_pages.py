"""Runs what pages of the documentation tell a reader to run, and says how each was checked, as JSON.

    python -m tests.docs.run_pages WORKPLACE PAGE...

A process of its own, since code of the pages registers classes, sets up logs and changes the working folder. Each page
has a folder in WORKPLACE, which stands for the root of a checkout, with small synthetic sets in data/ and a small model
that vcm.yml has trained in logs/xreid/vcm/.
"""

import io
import json
import os
import re
import shutil
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import xreid_plugin  # noqa: F401  (mends the host)
from tests.data.small_set import TEST_IDENTITIES, TRAIN_IDENTITIES
from tests.docs.commands import RUN, TOWER_FILE, DocumentError, check_command, local
from tests.docs.markdown import CHECKOUT, blocks, shell_commands, spans
from xreid_plugin.config import get_cfg
from xreid_plugin.data.synthetic import SyntheticSettings, write_bupt, write_vcm
from xreid_plugin.host.configuration import leaves

TRAINING = "python tools/train_net.py --config-file projects/XReID/configs/vcm.yml"
SHELLS = ("sh", "bash", "console")
LANGUAGES = (*SHELLS, "python", "yaml", "text")
FILE = re.compile(r"# ([\w/]+\.py)")
COMMAND = re.compile(r"(?:make|torchrun|export|pip|git|(?:\.venv/bin/)?python3?) \S.*")
KEY = re.compile(r"[A-Z][A-Z0-9_]*(?:\.[A-Z][A-Z0-9_]*)+(?: \S+)?")
PATH = re.compile(r"(?:xreid_plugin|tests|tools|projects|configs|docs)/[\w./*-]*")


def check_page(page):
    """(line, what, way, problem) of everything on a page that can be run, in its order."""
    text = page.read_text(encoding="utf-8")
    namespace, files = {"__name__": "snippets"}, {}
    sys.modules["snippets"] = type(sys)("snippets")
    for block in blocks(text):
        # A block without a language is one of commands if it begins with one.
        if block.language in SHELLS or (not block.language and COMMAND.match(block.text)):
            for line, command in shell_commands(block):
                yield line, command, *_outcome(check_command, command)
        elif block.language == "python" and FILE.fullmatch(_first_line(block)):
            files[_write_python(block)] = block
        elif block.language == "python":
            yield block.line, _first_line(block), *_outcome(_run_python, block, page.name, namespace)
        elif block.language == "yaml":
            yield block.line, _first_line(block), *_outcome(_write_yaml, block)
        elif block.language not in LANGUAGES:
            yield block.line, _first_line(block), "", f"has no language; expected one of {', '.join(LANGUAGES)}"
    for file, block in files.items():
        yield block.line, _first_line(block), *_outcome(_check_imported, file)
    for line, code in spans(text):
        for pattern, check in ((COMMAND, _check_inline), (KEY, _check_key), (PATH, _check_path)):
            if pattern.fullmatch(code):
                yield line, code, *_outcome(check, code)


def _outcome(check, *arguments):
    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            return check(*arguments), ""
    except (DocumentError, ValueError) as error:
        return "", str(error)
    except (Exception, SystemExit):
        return "", f"{said.getvalue()[-2000:]}{traceback.format_exc()}"


def _run_python(block, name, namespace):
    source = re.sub(r'"(/data[^"]*)"', lambda match: repr(local(match[1])), block.text)
    # Lines of a traceback are then those of the page.
    code = compile("\n" * (block.line - 1) + source, name, "exec")
    exec(code, namespace)
    return RUN


def _write_python(block):
    """A file of a reader's own, which commands of the page import."""
    file = Path(FILE.fullmatch(_first_line(block))[1])
    file.write_text(block.text)
    return file.resolve()


def _check_imported(file):
    module = sys.modules.get(file.stem)
    if module is None or Path(module.__file__) != file:
        raise DocumentError(f"no command of the page imports {file.name}")
    return RUN


def _write_yaml(block):
    """A file whose name its first line tells; it must be a configuration that the program takes."""
    file = Path(block.text.partition("\n")[0].removeprefix("# "))
    file.write_text(block.text)
    get_cfg().merge_from_file(str(file))
    return "merged"


def _check_inline(command):
    return check_command(command, may_run=False)


def _check_key(code):
    key, _, value = code.partition(" ")
    groups = {name.rpartition(".")[0] for name, _ in leaves(get_cfg())}
    groups |= {group.rpartition(".")[0] for group in groups}
    if not value and (key in groups or key in dict(leaves(get_cfg()))):
        return "a key"
    if value in ("FILE", "DIR"):
        value = "none"
    get_cfg().merge_from_list([key, *([value] if value else ["0"])])
    return "a key"


def _check_path(code):
    if not list(CHECKOUT.glob(code.rstrip("/"))) and not list(Path.cwd().glob(code)):
        raise DocumentError(f"there is no {code}")
    return "is there"


def _first_line(block):
    return block.text.strip().partition("\n")[0]


def _enter(folder):
    folder.mkdir()
    os.environ.pop("FASTREID_DATASETS", None)
    # Copies: a page may tell a reader to put a file among them.
    for name in ("configs", "projects", "tools"):
        shutil.copytree(CHECKOUT / name, folder / name)
    if (folder.parent / "trained" / "logs").is_dir():
        shutil.copytree(folder.parent / "trained" / "logs", folder / "logs")
    (folder / "ssd").mkdir()
    (folder / "data").symlink_to(folder.parent / "data")
    (folder / "datasets").mkdir()
    for name in ("HITSZ-VCM", "BUPTCampus"):
        (folder / "datasets" / name).symlink_to(folder.parent / "data" / name)
    tower = {"layers": 1, "width": 32, "head_width": 8, "patch_size": 24, "image_size": 48}
    (folder / TOWER_FILE).write_text(json.dumps({"embed_dim": 16, "vision_cfg": tower, "text_cfg": {}}))
    os.chdir(folder)


def write_data(folder):
    """Small sets in both layouts."""
    people = {"train_identities": TRAIN_IDENTITIES, "test_identities": TEST_IDENTITIES}
    sizes = {"tracklets": 2, "frames": (12, 13), "size": (48, 24)}
    write_vcm(SyntheticSettings(**people, **sizes, cameras=3), folder / "HITSZ-VCM")
    write_bupt(SyntheticSettings(**people, **sizes, cameras=6), folder / "BUPTCampus")


def main(workplace, *names):
    root = Path(workplace)
    write_data(root / "data")
    _enter(root / "trained")
    for more in ("", " --eval-only TEST.SAVE_FEATURES logs/xreid/vcm/features.npz"):
        assert check_command(TRAINING + more) == RUN
    found = {}
    for number, name in enumerate(names):
        _enter(root / f"page{number}")
        outcomes = check_page(CHECKOUT / name)
        found[name] = [dict(zip(("line", "what", "way", "problem"), o, strict=True)) for o in outcomes]
    (root / "outcomes.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
