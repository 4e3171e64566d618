"""Where a frame that is a link leads: to a file of its dataset, or out of it."""

import os
from functools import lru_cache


class LinkError(ValueError):
    """A frame is a link out of its dataset; the message says where to, and gives the remedy.

    It is not a damaged picture, for which another frame may stand in: lists come from elsewhere, and somebody or
    something has put a file of this machine in a frame's place. So it is an error under any INPUT.BAD_FRAMES.
    """


def refuse_outside(path: str, home: str) -> str:
    """Follows a link.

    Args:
        path: a frame's path.
        home: the dataset's folder, below which the path lies. It may be a link itself, and so may the folder in it that
            the path goes through, such as Train: both are the owner's own choice.

    Returns:
        The path without any link in it; whether there is a file, it does not say.

    Raises:
        LinkError: it leads out of the dataset.
    """
    target = os.path.realpath(path)
    below = path.removeprefix(f"{home}{os.sep}").partition(os.sep)[0]
    if not target.startswith((_real_folder(home), _real_folder(f"{home}{os.sep}{below}"))):
        raise LinkError(
            f"it is a link to {target}, outside {home}: put the frame itself in its place, or take it from where the "
            "dataset comes from. tools/check_dataset.py finds all such frames"
        )
    return target


@lru_cache(maxsize=1024)
def _real_folder(folder: str) -> str:
    return f"{os.path.realpath(folder)}{os.sep}"
