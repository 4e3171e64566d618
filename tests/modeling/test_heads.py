import pytest
import torch
from torch.testing import assert_close

from xreid_plugin.config import get_cfg
from xreid_plugin.modeling.heads import FrameFeatures, HeadOutputs, XReIDHead

D, E, N, CLIPS, FRAMES = 6, 4, 3, 4, 5
BRANCHES = ("sii", "lii", "cii")


def make_head(branches=BRANCHES):
    torch.manual_seed(0)
    head = XReIDHead(embed_dim=D, projected_dim=E, num_classes=N, branches=branches).double()
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

    return FrameFeatures(frames(D), frames(E), {branch: frames(D) for branch in branches})


def running(norm, rows):
    """What a neck does in evaluation; its bias is frozen at zero."""
    return (rows - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight


def batch(norm, rows):
    """What a neck does in training."""
    centred = rows - rows.mean(0)
    return centred / (centred.square().mean(0) + norm.eps).sqrt() * norm.weight


def mean_over_time(frames):
    return sum(frames[:, frame] for frame in range(frames.shape[1])) / frames.shape[1]


@pytest.mark.parametrize("branches", [(), ("sii",), ("lii",), ("sii", "lii"), BRANCHES])
@torch.no_grad()
def test_embedding_is_the_concatenation_of_necked_means(branches):
    head = make_head(branches).eval()
    features = make_features([branch for branch in branches if branch != "cii"])
    parts = [
        running(head.tower.class_neck, mean_over_time(features.class_tokens)),
        running(head.tower.projected_neck, mean_over_time(features.projected)),
    ]
    parts += [
        running(head.interactions[branch].neck, mean_over_time(features.interactions[branch]))
        for branch in ("sii", "lii")
        if branch in branches
    ]
    embedding = head(features)
    assert embedding.shape == (CLIPS, D + E + D * (len(parts) - 2))
    assert_close(embedding, torch.cat(parts, dim=1))


@torch.no_grad()
def test_embedding_never_holds_the_cross_modality_part():
    head = make_head().eval()
    features = make_features()
    without = FrameFeatures(*features[:2], {branch: features.interactions[branch] for branch in ("sii", "lii")})
    assert torch.equal(head(features), head(without))


@torch.no_grad()
def test_order_of_the_parts_does_not_hang_on_the_order_of_the_branches():
    head = make_head().eval()
    features = make_features()
    turned = FrameFeatures(*features[:2], dict(reversed(features.interactions.items())))
    assert torch.equal(head(features), head(turned))


@torch.no_grad()
def test_training_outputs_by_hand():
    head = make_head().train()
    features = make_features()
    outputs = head(features)
    assert isinstance(outputs, HeadOutputs)
    tower = head.tower
    c, p = mean_over_time(features.class_tokens), mean_over_time(features.projected)
    z = torch.cat([batch(tower.class_neck, c), batch(tower.projected_neck, p)], dim=1)
    assert_close(outputs.tower_feature, z)
    assert_close(outputs.clip_logits["tower"], z @ tower.classifier.weight.t())
    frames = torch.cat(
        [
            batch(tower.class_frame_neck, features.class_tokens.reshape(-1, D)),
            batch(tower.projected_frame_neck, features.projected.reshape(-1, E)),
        ],
        dim=1,
    )
    expected = (frames @ tower.frame_classifier.weight.t()).reshape(CLIPS, FRAMES, N)
    assert_close(outputs.frame_logits["tower"], expected)

    # The metric features stand before their necks.
    assert list(outputs.metric_features) == ["class", "projected", *BRANCHES]
    assert_close(outputs.metric_features["class"], c)
    assert_close(outputs.metric_features["projected"], p)
    assert list(outputs.clip_logits) == ["tower", *BRANCHES]
    assert list(outputs.frame_logits) == ["tower", "sii", "lii"]
    for branch in BRANCHES:
        part, given = head.interactions[branch], features.interactions[branch]
        mean = mean_over_time(given)
        assert_close(outputs.metric_features[branch], mean)
        assert_close(outputs.clip_logits[branch], batch(part.neck, mean) @ part.classifier.weight.t())
        if branch != "cii":
            rows = batch(part.frame_neck, given.reshape(-1, D)) @ part.classifier.weight.t()
            assert_close(outputs.frame_logits[branch], rows.reshape(CLIPS, FRAMES, N))


@torch.no_grad()
def test_frame_and_clip_necks_keep_statistics_of_their_own():
    head = make_head().train()
    features = make_features()
    before = {name: buffer.clone() for name, buffer in head.named_buffers()}
    head(features)
    c, p, sii = features.class_tokens, features.projected, features.interactions["sii"]
    expected = {
        "tower.class_neck": mean_over_time(c),
        "tower.class_frame_neck": c.reshape(-1, D),
        "tower.projected_neck": mean_over_time(p),
        "tower.projected_frame_neck": p.reshape(-1, E),
        "interactions.sii.neck": mean_over_time(sii),
        "interactions.sii.frame_neck": sii.reshape(-1, D),
    }
    for name, rows in expected.items():
        mean, variance = f"{name}.running_mean", f"{name}.running_var"
        assert_close(head.get_buffer(mean), 0.9 * before[mean] + 0.1 * rows.mean(0), msg=mean)
        assert_close(head.get_buffer(variance), 0.9 * before[variance] + 0.1 * rows.var(0), msg=variance)


def test_biases_of_all_necks_are_frozen_at_zero():
    head = make_head().train()
    outputs = head(make_features())
    sum(logits.square().sum() for logits in [*outputs.clip_logits.values(), *outputs.frame_logits.values()]).backward()
    necks = [module for module in head.modules() if isinstance(module, torch.nn.BatchNorm1d)]
    assert len(necks) == 4 + 2 + 2 + 1
    for norm in necks:
        assert not norm.bias.requires_grad
        assert norm.bias.grad is None
        assert not norm.bias.any()
        assert norm.weight.grad.abs().sum() > 0


def test_classifiers_have_no_bias_and_start_near_zero():
    head = XReIDHead(embed_dim=64, projected_dim=32, num_classes=40, branches=BRANCHES)
    classifiers = [module for module in head.modules() if isinstance(module, torch.nn.Linear)]
    assert len(classifiers) == 2 + 3
    for linear in classifiers:
        assert linear.bias is None
        # 40·64 or more draws: their spread is within a tenth of the one asked for.
        assert 0.0009 < linear.weight.std() < 0.0011


@pytest.mark.parametrize("off", BRANCHES)
def test_a_branch_that_is_off_has_no_parameters(off):
    cfg = get_cfg()
    cfg.MODEL.HEADS.NUM_CLASSES = N
    cfg.MODEL.MII[off.upper()].ENABLED = False
    head = XReIDHead(cfg, embed_dim=D, projected_dim=E)
    assert set(head.interactions) == set(BRANCHES) - {off}
    assert not any(off in name for name in head.state_dict())


def test_a_model_without_identities():
    with pytest.raises(ValueError, match=r"MODEL\.HEADS\.NUM_CLASSES is 0"):
        XReIDHead(get_cfg(), embed_dim=D, projected_dim=E)
