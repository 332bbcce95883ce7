"""A linear probe first: what stands still, what is trained, and how runs go on."""

from dataclasses import replace

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch.nn.functional import cross_entropy

from geomoe.config import OptimizerConfig
from geomoe.models import PlainNetwork, create_backbone
from geomoe.training import fit, run_folder
from geomoe.training.optimizers import LearningRate
from geomoe.training.probe import Probe
from tests.training.test_resume import At, _same

BATCHES = 3


def probing(config, epochs=1, **options):
    return replace(config, optimizer=OptimizerConfig(probe_epochs=epochs, lr=0.01, **options))


class Watch(Callback):
    """The method's state at the start, and at the end of each epoch; the first process's batches."""

    def __init__(self):
        self.states, self.batches = [], []

    def on_train_start(self, trainer, pl_module):
        self.keep(pl_module)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.batches.append(batch)

    def on_train_epoch_end(self, trainer, pl_module):
        self.keep(pl_module)

    def keep(self, pl_module):
        self.states.append({key: value.clone() for key, value in pl_module.algorithm.state_dict().items()})


def changed(before, after):
    return {key for key, value in before.items() if not torch.equal(value, after[key])}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["erm", "moge", "fish", "sagm"])
def test_the_backbone_stands_still_and_then_everything_is_trained(name, tiny):
    watch = Watch()
    config = probing(tiny(name, data={"batch_size": 16, "groups_per_batch": 4}))
    fit(config, quiet=True, callbacks=[watch], limit_batches=BATCHES)
    start, probed, ended = watch.states
    backbone = {key for key in start if ".backbone." in f".{key}" and ".head." not in key}
    assert any("running_mean" in key for key in backbone), "the network has batch norms"
    assert not changed(start, probed) & backbone
    rest = {key for key in start.keys() - backbone if not key.endswith(("domains", "fixed_gamma"))}
    assert rest <= changed(start, probed) | {"model.encoder.unknown"}, "no place of this data is unknown"
    assert backbone <= changed(probed, ended)


@pytest.mark.slow
def test_it_is_a_linear_probe(tiny):
    """As AdamW on the features of the frozen network, in a plain loop."""
    watch = Watch()
    config = probing(tiny("erm", max_epochs=1, model={"drop_path": 0.0}), warmup=0.0)
    ended = fit(config, quiet=True, callbacks=[watch], limit_batches=BATCHES)
    network = PlainNetwork(create_backbone("vit_quick", num_classes=12, image_size=32)).eval()
    network.load_state_dict({key.removeprefix("model."): value for key, value in watch.states[0].items()})
    head = network.backbone.head
    groups = [{"params": [head.weight], "weight_decay": 0.05}, {"params": [head.bias], "weight_decay": 0.0}]
    optimizer, rate = torch.optim.AdamW(groups, lr=0.01), LearningRate(config.optimizer, BATCHES)
    for step, batch in enumerate(watch.batches):
        with torch.no_grad():
            features = network(batch.image).features
        optimizer.zero_grad()
        cross_entropy(head(features), batch.label).backward()
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * rate(step)
        optimizer.step()
    for name in ("weight", "bias"):
        found = watch.states[1][f"model.backbone.head.{name}"]
        torch.testing.assert_close(found, getattr(head, name), rtol=1e-4, atol=1e-6)
    assert ended.metrics["epoch"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["erm", "sagm"])
def test_it_resumes_to_the_same_bits(name, tiny, tmp_path):
    whole = fit(probing(tiny(name, output=tmp_path / "whole")), quiet=True, limit_batches=BATCHES)
    config = probing(tiny(name, output=tmp_path / "stopped"))
    for epoch in (0, 1):  # within the probe, and after it
        with pytest.raises(KeyboardInterrupt):
            fit(config, resume=epoch > 0, quiet=True, callbacks=[At(epoch, 1)], limit_batches=BATCHES)
    ended = fit(config, resume=True, quiet=True, limit_batches=BATCHES)
    _same(whole.last, ended.last)
    assert run_folder(config).metrics.read_text() == (whole.folder / "metrics.csv").read_text()


def test_gradients_of_a_joint_backward_pass_are_dropped():
    network = PlainNetwork(create_backbone("vit_quick", num_classes=5, image_size=16))
    probe = Probe(network, 2)
    network(torch.randn(2, 3, 16, 16)).logits.sum().backward()
    probe.clear(1)
    assert {name for name, value in network.named_parameters() if value.grad is not None} == {
        "backbone.head.weight",
        "backbone.head.bias",
    }
    assert [len(probe.moving(network.parameters(), epoch)) for epoch in (1, 2)] == [
        2,
        len(list(network.parameters())),
    ]
    assert len(probe.norms) > 0
    for epoch, training in ((0, False), (1, False), (2, True)):
        probe.begin(epoch)
        assert all(norm.training is training for norm in probe.norms)
