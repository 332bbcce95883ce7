import math

import pytest
import torch
from torch.nn import functional

from geomoe.errors import ConfigError
from geomoe.losses import cka_diversity, load_balance, supcon

OFF = {"aux": 0.0, "cka": 0.0, "supcon": 0.0}


def mean(values):
    values = list(values)
    return sum(values) / len(values)


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
def test_terms_are_weighted_means_over_the_blocks(estimator, make, make_batch):
    weights = {"aux": 0.3, "cka": 0.7, "supcon": 0.2}
    algorithm = make("moge", **weights, cka_estimator=estimator, cka_tokens=2, supcon_temperature=0.5).train()
    batch = make_batch()
    output, terms = algorithm.training_loss(batch)
    assert len(output.routings) == len(output.expert_outputs) == len(output.shared_features) == 2
    assert output.expert_outputs[0].shape == (4, 2 * 32, 64)
    want = {
        "aux": mean(map(load_balance, output.routings)),
        "cka": mean(cka_diversity(out, estimator) for out in output.expert_outputs),
        "supcon": mean(
            supcon(f, batch.label, r.weights.argmax(dim=1), 0.5)
            for f, r in zip(output.shared_features, output.routings, strict=True)
        ),
    }
    assert list(terms.named) == ["task", "aux", "cka", "supcon"]
    for name, value in want.items():
        assert value > 0
        torch.testing.assert_close(terms.named[name], weights[name] * value)


def test_terms_of_weight_zero_are_not_computed(make, make_batch):
    output, terms = make("moge", **OFF).train().training_loss(make_batch())
    assert list(terms.named) == ["task"]
    assert torch.equal(terms.total, terms.named["task"])
    assert output.expert_outputs == ()


def test_zero_cka_tokens_means_all_of_them(make, make_batch):
    output, _ = make("moge", cka_tokens=0).train().training_loss(make_batch(6))
    assert output.expert_outputs[0].shape == (4, 6 * 4, 64)  # 16 px in patches of 8: 4 tokens


def test_shared_task_trains_the_shared_path_alone(make, make_batch):
    algorithm = make("moge", **OFF, shared_task=0.5).train()
    batch = make_batch()
    _, terms = algorithm.training_loss(batch)
    shared = functional.cross_entropy(algorithm(batch, "shared").logits, batch.label)
    torch.testing.assert_close(terms.named["shared_task"], 0.5 * shared)
    torch.testing.assert_close(terms.total, terms.named["task"] + terms.named["shared_task"])
    terms.named["shared_task"].backward()
    reached = {
        key for key, p in algorithm.named_parameters() if p.grad is not None and p.grad.abs().max() > 0
    }
    assert any(".mlp." in key for key in reached)
    assert not any(key.startswith(("model.layers.", "model.encoder.")) for key in reached)


def test_diversity_loss_makes_experts_differ(make, make_batch):
    torch.manual_seed(0)
    algorithm, batch = make("moge", aux=0.0, supcon=0.0, cka=1.0, cka_tokens=0).train(), make_batch(48)
    optimizer = torch.optim.Adam(algorithm.parameters(), lr=3e-3)
    values = []
    for _ in range(30):
        optimizer.zero_grad()
        _, terms = algorithm.training_loss(batch)
        terms.total.backward()
        optimizer.step()
        values.append(terms.named["cka"].item())
    assert values[0] > 0.95  # copies of one network
    assert values[-1] < 0.6


def test_experts_are_chosen_on_request(make, make_batch):
    algorithm, batch = make("moge").eval(), make_batch(6)
    with torch.no_grad():
        answers = [algorithm(batch, experts).logits for experts in ("all", "shared", 0, 1)]
        direct = algorithm.model(batch.image, experts="shared").logits
    assert torch.equal(answers[1], direct)
    assert all(not torch.equal(a, b) for i, a in enumerate(answers) for b in answers[:i])


BAD = [
    ({"aux": -1.0}, "aux: a loss weight has to be 0 or more and finite; got -1.0"),
    ({"cka": math.nan}, "cka: a loss weight .* got nan"),
    ({"supcon": math.inf}, "supcon: a loss weight .* got inf"),
    ({"shared_task": -0.5}, "shared_task: a loss weight .* got -0.5"),
    ({"cka_estimator": "debiased"}, "cka_estimator: expected unbiased or biased; got 'debiased'"),
    ({"cka_tokens": -1}, r"cka_tokens: expected 0 \(all\) or more; got -1"),
    ({"supcon_temperature": 0.0}, "supcon_temperature: expected more than 0; got 0.0"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_refusals(options, message, make):
    with pytest.raises(ConfigError, match=message):
        make("moge", **options)
