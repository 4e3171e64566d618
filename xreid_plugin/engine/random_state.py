"""Where torch's random numbers stand: a run that goes on draws what one never interrupted would."""

from collections.abc import Sequence

import torch

RandomState = dict[str, torch.Tensor]


def random_state(device: torch.device) -> RandomState:
    """This process's, by kind of device: uint8 tensors on the CPU.

    Args:
        device: of the model.
    """
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(states: Sequence[RandomState], rank: int, world_size: int, device: torch.device) -> None:
    """Takes up what the process of the same rank left, if there were as many processes.

    Args:
        states: of all ranks.
        rank: of this process.
        world_size: number of processes now.
        device: of the model.
    """
    if len(states) != world_size:
        return
    state = states[rank]
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
