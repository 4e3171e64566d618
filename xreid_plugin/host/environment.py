"""What the host reports about the machine."""

import logging

import fastreid.utils.collect_env

_collect_env_info = fastreid.utils.collect_env.collect_env_info


def collect_env_info() -> str:
    """Replaces the host's function, whose import of torch's compiler helpers warns where CUDA has no GPU."""
    logger = logging.getLogger("torch.utils.cpp_extension")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return _collect_env_info()
    finally:
        logger.setLevel(level)
