"""Registries that the host does not have, made with the host's own class.

This module imports nothing of ours, so that any part of the plugin can register here without a cycle.
"""

from fastreid.utils.registry import Registry

SAMPLER_REGISTRY = Registry("SAMPLER")
SAMPLER_REGISTRY.__doc__ = """
Training samplers, chosen by ``DATALOADER.SAMPLER_TRAIN``.

An entry is a class with ``from_config(cfg, tracklets)`` that returns the keyword arguments of its constructor. Its
attribute ``pairs``, False where there is none, says whether every clip has a partner in the other modality's block.
"""

LOSS_REGISTRY = Registry("LOSS")
LOSS_REGISTRY.__doc__ = """
Loss terms of the X-ReID meta-architecture, chosen by ``MODEL.LOSSES.NAME``.

An entry is a function ``(cfg) -> term``; the term maps a :class:`xreid_plugin.losses.build.ClipOutputs` to a dict of
named scalar tensors, each already multiplied by its weight.
"""
