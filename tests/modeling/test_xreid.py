import copy
import itertools

import pytest
import torch
from torch.testing import assert_close

from tests.modeling.tiny_model import PARTS, D, E, make_batch, make_model
from xreid_plugin.losses.cpcl import cpcl_loss

pytestmark = pytest.mark.usefixtures("one_thread")


def embed(model, batch):
    with torch.no_grad():
        return model.eval()(batch)


def without_learning(model):
    """Trainable parameters that no gradient reaches."""
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]


@pytest.mark.parametrize("frames", [1, 3])
def test_losses_are_finite_and_teach_every_parameter(frames):
    model = make_model()
    losses = model.train()(make_batch(frames))
    assert list(losses) == ["loss_cpcl", "loss_triplet", "loss_ce_clip", "loss_ce_frame", "loss_cmcl"]
    assert all(value.isfinite() and value.shape == () for value in losses.values())
    sum(losses.values()).backward()
    assert without_learning(model) == []
    silent = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and not parameter.grad.abs().max() > 0
    ]
    # What a query's keys have in common does not change its attention; its gradient is nothing but rounding.
    assert all(name.endswith("context_norm.bias") for name in silent)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert {name for name in frozen if not name.endswith("neck.bias")} == {"backbone.visual.conv1.weight"}


@pytest.mark.parametrize("off", [off for count in range(1, 5) for off in itertools.combinations(PARTS, count)])
def test_every_ablation_steps_and_embeds(off):
    model = make_model(off)
    optimizer = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-3)
    batch = make_batch()
    losses = model.train()(batch)
    sum(losses.values()).backward()
    assert without_learning(model) == []
    optimizer.step()
    assert ("loss_cpcl" in losses) == ("CPC" not in off) == (model.prototypes is not None)
    assert ("loss_cmcl" in losses) == ("CII" not in off)
    assert set(model.mii) == {part.lower() for part in ("SII", "LII", "CII") if part not in off}
    embedding = embed(model, batch)
    assert embedding.shape == (8, D + E + (0 if {"SII", "LII"} <= set(off) else D))
    assert embedding.isfinite().all()


def gradient_of_the_interactions(detach):
    """How much of the backbone learns from s and l alone."""
    model = make_model(**{"MODEL.MII.DETACH": detach}).train()
    batch = make_batch()
    features = model.frame_features(batch["images"], batch["camids"])
    torch.stack([frames.square().sum() for frames in features.interactions.values()]).sum().backward()
    assert all(parameter.grad is not None for branch in ("sii", "lii") for parameter in model.mii[branch].parameters())
    return [parameter.grad for parameter in model.backbone.parameters() if parameter.requires_grad]


def test_detach_stops_the_gradient_of_the_interactions_and_its_absence_lets_it_through():
    assert all(gradient is None for gradient in gradient_of_the_interactions(True))
    # CLIP's projection is beside the interactions' way.
    assert sum(gradient is None for gradient in gradient_of_the_interactions(False)) == 1


def gradient_of_cmcl(*off, detach=True):
    """Of CMCL alone: the gradient of the backbone's class embedding, and of CII's parameters."""
    model = make_model(off, **{"MODEL.LOSSES.NAME": ("CMCL",), "MODEL.MII.DETACH": detach}).train()
    model(make_batch())["loss_cmcl"].backward()
    cii = [parameter.grad for parameter in model.mii["cii"].parameters()]
    assert all(gradient is not None for gradient in cii)
    return model.backbone.visual.class_embedding.grad


def test_cmcl_teaches_the_branches_and_the_tower_only_where_nothing_else_could_learn_from_it():
    assert gradient_of_cmcl() is None
    assert gradient_of_cmcl(detach=False).any()
    # Without SII and LII it works on c̄, with its gradient.
    assert gradient_of_cmcl("SII", "LII").any()


def test_frames_are_normalised_and_sent_to_the_tower_clip_by_clip():
    model, batch = make_model().eval(), make_batch(frames=3)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        features = model.frame_features(batch["images"], batch["camids"])
        for clip, frame in [(0, 0), (1, 2), (7, 1)]:
            image = (batch["images"][clip, frame] / 255 - mean) / std
            _, class_tokens, projected = model.backbone(image[None], batch["camids"][clip : clip + 1])
            assert_close(features.class_tokens[clip, frame], class_tokens[0], atol=1e-4, rtol=1e-4)
            assert_close(features.projected[clip, frame], projected[0], atol=1e-4, rtol=1e-4)


def test_sequence_features_are_without_camera_and_move_no_statistic():
    model, batch = make_model(), make_batch()
    model.train()(batch)
    model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    features = model.sequence_features(batch["images"])
    assert not features.requires_grad
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())

    with_camera = embed(model, batch)[:, : D + E]
    with torch.no_grad():
        model.backbone.camera_embedding.zero_()
        assert_close(model.heads.tower.neck(features), embed(model, batch)[:, : D + E])
    assert not torch.allclose(features, with_camera, atol=1e-4)


def test_prototypes_are_of_the_fitted_neck():
    """Whitened by hand, per channel over all tracklets; then the mean of an identity in a modality, normalised."""
    model, batch = make_model().eval(), make_batch()
    sequences = model.sequence_features(batch["images"])
    targets, modalities = batch["targets"], batch["modalities"]
    model.extract_prototypes(sequences, targets, modalities, fit_neck=True)
    whitened = (sequences - sequences.mean(0)) / (sequences.var(0) + 1e-5).sqrt()
    for modality, memory in enumerate((model.prototypes.infrared, model.prototypes.visible)):
        for identity in range(2):
            rows = whitened[(targets == identity) & (modalities == modality)]
            assert_close(memory[identity], rows.mean(0) / rows.mean(0).norm(), atol=1e-4, rtol=1e-4)
    neck = model.heads.tower.neck
    kept = neck.running_mean.clone()
    model.extract_prototypes(sequences + 1, targets, modalities, fit_neck=False)
    assert torch.equal(neck.running_mean, kept)


def test_cpcl_and_the_update_work_on_z_and_on_both_memories():
    model, batch = make_model().train(), make_batch()
    with torch.no_grad():
        losses = model(batch)
        # Batch statistics are the batch's own, so a second pass gives the same z.
        z = model.heads.tower.neck(
            model.heads.tower_frames(model.frame_features(batch["images"], batch["camids"])).mean(1)
        )
    memory = model.prototypes
    expected = copy.deepcopy(memory)
    assert_close(losses["loss_cpcl"], cpcl_loss(z, batch["targets"], memory.visible, memory.infrared, 0.05))
    assert not torch.allclose(memory.visible, memory.infrared)
    expected.observe(z, batch["targets"], batch["modalities"])
    expected.update()
    memory.update()
    assert_close(memory.infrared, expected.infrared)
    assert_close(memory.visible, expected.visible)


def test_half_precision_gives_losses_close_to_the_exact_ones():
    model, batch = make_model().train(), make_batch()
    exact = model(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(batch)
        sum(rough.values()).backward()
        assert rough["loss_cpcl"].dtype == torch.float32
    for name, value in rough.items():
        assert value.isfinite()
        assert_close(value, exact[name], atol=0.1, rtol=0.1, msg=name)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.requires_grad]
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_repeated_frames_need_not_pass_the_tower():
    model = make_model()
    batch = {name: rows for name, rows in make_batch(frames=4).items() if name in ("images", "camids")}
    clips = len(batch["images"])
    lengths = [number % 4 + 1 for number in range(clips)]
    last = torch.minimum(torch.arange(4), torch.tensor(lengths)[:, None] - 1)
    repeating = {**batch, "images": batch["images"][torch.arange(clips)[:, None], last]}
    assert_close(embed(model, {**repeating, "lengths": lengths}), embed(model, repeating))
    assert_close(model.sequence_features(repeating["images"], lengths), model.sequence_features(repeating["images"]))
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    embed(model, {**repeating, "lengths": lengths})
    assert seen == [sum(lengths)]
