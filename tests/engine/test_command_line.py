import argparse

import pytest

from xreid_plugin.engine.launch import check_processes

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def options(processes=1, machines=1, url="auto"):
    return argparse.Namespace(num_gpus=processes, num_machines=machines, machine_rank=0, dist_url=url)


@pytest.mark.parametrize(("given", "named"), [(options(999), "--num-gpus"), (options(1, 2), "--dist-url")])
def test_options_that_do_not_fit_are_named(given, named):
    with pytest.raises(ValueError, match=named):
        check_processes(given, on_cuda=given.num_gpus > 1)
