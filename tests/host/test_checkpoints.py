import torch

from xreid_plugin.host import Checkpointer


def linear(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Linear(3, 2)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_loaded_with_optimizer_and_extras(tmp_path):
    model = linear(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    Checkpointer(model, str(tmp_path), optimizer=optimizer).save("model_0004", epoch=4)
    assert names(tmp_path) == ["last_checkpoint", "model_0004.pth"]

    other = linear(1)
    other_optimizer = torch.optim.Adam(other.parameters(), lr=0.1)
    found = Checkpointer(other, str(tmp_path), optimizer=other_optimizer).resume_or_load("")
    assert found == {"epoch": 4}
    assert torch.equal(other.weight, model.weight)
    moments = (o.state_dict()["state"][0]["exp_avg"] for o in (optimizer, other_optimizer))
    assert torch.equal(*moments)
