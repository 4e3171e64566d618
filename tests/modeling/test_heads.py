import pytest
import torch
from torch.testing import assert_close

from tests.modeling.tiny_model import make_cfg
from xreid_plugin.modeling.heads import FrameFeatures, HeadOutputs, XReIDHead

D, E, N, CLIPS, FRAMES = 6, 4, 3, 4, 5
BRANCHES = ("sii", "lii")


def make_head(branches=BRANCHES, **keys):
    torch.manual_seed(0)
    off = [part for part in ("SII", "LII") if part.lower() not in branches]
    head = XReIDHead(make_cfg(off, **{"MODEL.HEADS.NUM_CLASSES": N, **keys}), D, E).double()
    # Statistics and scales that tell the necks apart.
    for module in head.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.uniform_(module.weight, 0.5, 2.0)
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return head


def make_features(branches=BRANCHES, clips=CLIPS, seed=1):
    generator = torch.Generator().manual_seed(seed)

    def frames(dim):
        return torch.randn(clips, FRAMES, dim, dtype=torch.float64, generator=generator)

    return FrameFeatures(frames(D), frames(E), {branch: frames(D) for branch in branches}, {})


def running(norm, rows):
    """What a neck does in evaluation; its bias is frozen at zero."""
    return (rows - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight


def batch(norm, rows):
    """What a neck does in training."""
    centred = rows - rows.mean(0)
    return centred / (centred.square().mean(0) + norm.eps).sqrt() * norm.weight


def mean_over_time(frames):
    return sum(frames[:, frame] for frame in range(frames.shape[1])) / frames.shape[1]


def fused(features):
    """Equation 8: the mean of the branches that are on."""
    branches = list(features.interactions.values())
    return sum(branches) / len(branches)


@pytest.mark.parametrize("branches", [(), ("sii",), ("lii",), BRANCHES])
@torch.no_grad()
def test_embedding_is_z_and_the_necked_mean_of_the_branches(branches):
    head, features = make_head(branches).eval(), make_features(branches)
    tower = torch.cat([mean_over_time(features.class_tokens), mean_over_time(features.projected)], dim=1)
    parts = [running(head.tower.neck, tower)]
    if branches:
        parts.append(running(head.interactions["mii"].neck, mean_over_time(fused(features))))
    embedding = head(features)
    assert embedding.shape == (CLIPS, D + E + (D if branches else 0))
    assert_close(embedding, torch.cat(parts, dim=1))


@torch.no_grad()
def test_concatenated_branches_keep_heads_of_their_own():
    head, features = make_head(**{"MODEL.MII.FUSION": "concat"}).eval(), make_features()
    assert set(head.interactions) == set(BRANCHES)
    embedding = head(features)
    assert embedding.shape == (CLIPS, D + E + 2 * D)
    for branch, part in zip(BRANCHES, embedding[:, D + E :].chunk(2, dim=1), strict=True):
        assert_close(part, running(head.interactions[branch].neck, mean_over_time(features.interactions[branch])))


@torch.no_grad()
def test_a_projected_tower_feature_leaves_the_class_token_out():
    head, features = make_head(**{"MODEL.HEADS.TOWER_FEATURE": "projected"}), make_features()
    p = mean_over_time(features.projected)
    outputs = head.train()(features)
    assert_close(outputs.tower_feature, batch(head.tower.neck, p))
    assert list(outputs.metric_features) == ["projected", "mii"]
    assert outputs.frame_logits["tower"].shape == (CLIPS, FRAMES, N)
    assert head.eval()(features).shape == (CLIPS, E + D)


@torch.no_grad()
def test_training_outputs_by_hand():
    head = make_head().train()
    features = make_features()
    outputs = head(features)
    assert isinstance(outputs, HeadOutputs)
    tower, mii = head.tower, head.interactions["mii"]
    c, p = mean_over_time(features.class_tokens), mean_over_time(features.projected)
    z = batch(tower.neck, torch.cat([c, p], dim=1))
    assert_close(outputs.tower_feature, z)
    assert_close(outputs.clip_logits["tower"], z @ tower.classifier.weight.t())
    rows = torch.cat([features.class_tokens.reshape(-1, D), features.projected.reshape(-1, E)], dim=1)
    expected = batch(tower.frame_neck, rows) @ tower.frame_classifier.weight.t()
    assert_close(outputs.frame_logits["tower"], expected.reshape(CLIPS, FRAMES, N))

    # The metric features stand before their necks.
    o = fused(features)
    assert list(outputs.metric_features) == ["class", "projected", "mii"]
    assert_close(outputs.metric_features["class"], c)
    assert_close(outputs.metric_features["projected"], p)
    assert_close(outputs.metric_features["mii"], mean_over_time(o))
    assert_close(outputs.clip_logits["mii"], batch(mii.neck, mean_over_time(o)) @ mii.classifier.weight.t())
    expected = batch(mii.frame_neck, o.reshape(-1, D)) @ mii.classifier.weight.t()
    assert_close(outputs.frame_logits["mii"], expected.reshape(CLIPS, FRAMES, N))
    # CMCL looks at the branches before they are fused.
    assert list(outputs.sequences) == list(BRANCHES)
    for branch in BRANCHES:
        assert_close(outputs.sequences[branch], mean_over_time(features.interactions[branch]))
