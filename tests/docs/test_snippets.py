"""Every command, snippet, key and path on a page of the documentation is run or read by what it is for.

``pytest tests/docs -rP`` lists how each was checked.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.docs.markdown import CHECKOUT, pages

BROKEN = """
```sh
python tools/train_net.py --config-file projects/XReID/configs/vcm.yml SOLVER.NO_SUCH_KEY 1
python tools/train_net.py --config-file projects/XReID/configs/none.yml
python tools/evaluate_features.py --no-such-option
python tools/no_such_tool.py
torchrun --no-such-option 2 tools/train_net.py
make no-such-target
python -m pytest tests/no_such_folder
some-program nobody knows
python tools/check_dataset.py --dataset HITSZVCM --root nowhere
python tools/check_dataset.py --dataset HITSZVCM --root /data/FOLDER
python tools/check_dataset.py --dataset HITSZVCM --root /data/HITSZ-VCM
```

```python
one = 1
raise RuntimeError(one)
```

```python
# unused.py
two = 2
```

```console
$ make test
```

```
no language
```

`MODEL.NO_SUCH_KEY`, `MODEL.DEVICE`, `TEST.FRAMES dense`, `xreid_plugin/no_such_module.py`, `python tools/compare.py`
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """By page, what was checked and how."""
    workplace = tmp_path_factory.mktemp("pages")
    broken = workplace / "broken.md"
    broken.write_text(BROKEN)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs.run_pages", str(workplace), *pages(), str(broken)],
        cwd=CHECKOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads((workplace / "outcomes.json").read_text())
    return {**found, "broken": found.pop(str(broken))}


@pytest.mark.parametrize("page", pages())
def test_what_a_page_tells_a_reader_to_do_can_be_done(page, outcomes):
    for outcome in outcomes[page]:
        print(f"{page}:{outcome['line']}\t{outcome['way']}\t{outcome['what']}")
    problems = [f"{page}:{o['line']}: {o['what']}\n    {o['problem']}" for o in outcomes[page] if o["problem"]]
    assert not problems, "\n".join(problems)


def test_most_is_run_for_real(outcomes):
    ways = [outcome["way"] for page in pages() for outcome in outcomes[page]]
    assert ways.count("run") >= ways.count("parsed")


FAULTS = {
    "python tools/train_net.py --config-file projects/XReID/configs/vcm.yml SOLVER.NO_SUCH_KEY 1": "SOLVER.NO_SUCH_KEY",
    "python tools/train_net.py --config-file projects/XReID/configs/none.yml": "none.yml",
    "python tools/evaluate_features.py --no-such-option": "usage: evaluate_features.py",
    "python tools/no_such_tool.py": "there is no tools/no_such_tool.py",
    "torchrun --no-such-option 2 tools/train_net.py": "SystemExit",
    "make no-such-target": "no-such-target",
    "python -m pytest tests/no_such_folder": "there is no tests/no_such_folder",
    "some-program nobody knows": "can be checked in neither way",
    "python tools/check_dataset.py --dataset HITSZVCM --root nowhere": "HITSZ-VCM was not found",
    "one = 1": "line 18, in <module>",
    "# unused.py": "no command of the page imports unused.py",
    "no language": "has no language",
    "MODEL.NO_SUCH_KEY": "is no configuration key",
    "xreid_plugin/no_such_module.py": "there is no",
    "python tools/compare.py": "--output",
}


def test_a_fault_of_a_page_is_found(outcomes):
    problems = {outcome["what"]: outcome["problem"] for outcome in outcomes["broken"] if outcome["problem"]}
    assert problems.keys() == FAULTS.keys()
    assert [what for what, sign in FAULTS.items() if sign not in problems[what]] == []


def test_what_is_right_on_a_page_with_faults_is_told_as_checked(outcomes):
    ways = {outcome["what"]: outcome["way"] for outcome in outcomes["broken"] if not outcome["problem"]}
    assert ways == {
        "python tools/check_dataset.py --dataset HITSZVCM --root /data/FOLDER": "parsed",
        "python tools/check_dataset.py --dataset HITSZVCM --root /data/HITSZ-VCM": "run",
        "make test": "parsed",
        "MODEL.DEVICE": "a key",
        "TEST.FRAMES dense": "a key",
    }
