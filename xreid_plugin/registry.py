"""Registries that the host does not have, made with the host's own class.

This module imports nothing else of this package, so that any part of the plugin can register here without a cycle.
"""

from fastreid.utils.registry import Registry

SAMPLER_REGISTRY = Registry("SAMPLER")
SAMPLER_REGISTRY.__doc__ = """
Training samplers, chosen by ``DATALOADER.SAMPLER_TRAIN``.

An entry is a subclass of :class:`xreid_plugin.data.samplers.ShardedSampler`, which shares batches among processes and
lets a resumed run go on in the middle; its constructor takes the configuration and the training set's tracklets. Its
attribute ``pairs`` says whether every clip has a partner in the other modality's block.
"""

LOSS_REGISTRY = Registry("LOSS")
LOSS_REGISTRY.__doc__ = """
Loss terms of the X-ReID meta-architecture, chosen by ``MODEL.LOSSES.NAME``.

An entry is a class whose constructor takes the configuration. Its objects map a
:class:`xreid_plugin.losses.outputs.ClipOutputs` to a dict of named scalar tensors, multiplied by their weights.
"""
