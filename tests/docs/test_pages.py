"""Every command, import, key, path and link on a page of the documentation is of something that there is."""

import ast
import importlib
import re
import shlex
import subprocess

import numpy as np
import pytest
import yaml

from tests.docs.markdown import CHECKOUT, anchors, blocks, links, pages, shell_commands, spans
from tests.docs.tool_process import parsed
from tests.tools.conftest import load_tool  # noqa: F401
from xreid_plugin.config import get_cfg
from xreid_plugin.data.frames import of_test
from xreid_plugin.host.configuration import leaves

COMMAND = re.compile(r"(?:torchrun .*)?(?:\.venv/bin/)?(?:python3? )?(tools/(\w+)\.py)(?: (.*))?")


def text_of(page):
    return (CHECKOUT / page).read_text(encoding="utf-8")


def commands(page):
    """(line, command) of the blocks of a page."""
    return [found for block in blocks(text_of(page)) if block.language == "sh" for found in shell_commands(block)]


def keys_of_page(page):
    """All keys, with those that a module on the page, or in its folder, adds."""
    modules = [text_of(page), *(file.read_text(encoding="utf-8") for file in (CHECKOUT / page).parent.glob("*.py"))]
    added = re.findall(r"DEFAULTS\.([\w.]+) = CfgNode\(\{(.*)\}\)", "".join(modules))
    own = {f"{group}.{name}" for group, names in added for name in re.findall(r'"(\w+)":', names)}
    return own | {name for name, _ in leaves(get_cfg())}


@pytest.mark.parametrize("page", pages())
def test_every_command_is_understood(page, load_tool):  # noqa: F811
    found = commands(page) + [(line, code) for line, code in spans(text_of(page)) if code.startswith("python tools/")]
    for line, command in found:
        if command.startswith("make "):
            targets = shlex.split(command, comments=True)[1:]
            done = subprocess.run(["make", "-n", *targets], cwd=CHECKOUT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{page}:{line}: {done.stderr}"
        match = COMMAND.fullmatch(command)
        if match is None or not match[3]:
            assert "tools/" not in command or (CHECKOUT / match[1]).is_file(), f"{page}:{line}: {command}"
            continue
        given = parsed(load_tool(match[2]), match[2], shlex.split(match[3], comments=True))
        pairs = given.get("opts") or given.get("settings") or []
        assert set(pairs[::2]) <= keys_of_page(page), f"{page}:{line}: {command}"
        file = given.get("config_file")
        assert not file or file.startswith("logs/") or (CHECKOUT / file).is_file(), f"{page}:{line}: {file}"


@pytest.mark.parametrize("page", pages())
def test_every_snippet_is_python_and_imports_what_there_is(page):
    found = blocks(text_of(page))
    named = {code for _, text in spans(text_of(page)) for code in re.findall(r"self\.\w+", text)}
    assert [code for code in named if not any(code in block.text for block in found)] == []
    for block in found:
        if block.language == "yaml":
            assert yaml.safe_load(block.text)
        if block.language != "python":
            continue
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                missing = [name.name for name in node.names if not hasattr(module, name.name)]
                assert missing == [], f"{page}:{block.line}: {node.module}"
            elif isinstance(node, ast.Import):
                for name in node.names:
                    importlib.import_module(name.name)


@pytest.mark.parametrize(("length", "count"), [(24, 10), (23, 10), (20, 10), (7, 10), (1, 3)])
@pytest.mark.parametrize("mode", ["even", "dense"])
def test_the_clips_of_the_page_on_deployment_are_those_of_evaluation(mode, length, count):
    (code,) = [block.text for block in blocks(text_of("docs/deployment.md")) if "def clips_of" in block.text]
    scope = {"np": np, "T": count, "facts": {"clips": mode}}
    exec(code, scope)
    np.testing.assert_array_equal(scope["clips_of"](length), of_test(length, count, mode))


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page):
    for line, target in links(text_of(page)):
        name, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = ((CHECKOUT / page).parent / name).resolve() if name else CHECKOUT / page
        assert file.exists(), f"{page}:{line}: {target}"
        assert file.is_relative_to(CHECKOUT), f"{page}:{line}: {target}"
        assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), f"{page}:{line}: {target}"


def test_every_page_is_in_the_index_and_none_names_somebodys_machine():
    linked = {target for _, target in links(text_of("docs/README.md"))}
    assert {page.name for page in (CHECKOUT / "docs").glob("*.md")} - {"README.md"} <= linked
    assert [page for page in pages() if str(CHECKOUT) in text_of(page) or "/home/" in text_of(page)] == []
