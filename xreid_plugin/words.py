"""Numbers in messages."""


def counted(number: int, one: str, many: str = "") -> str:
    """A number and what it counts: "1 frame is missing", "2,000 frames are missing".

    Args:
        number: at least 0.
        one: what follows a 1.
        many: what follows any other number; ``one`` and an s where it is left out.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"
