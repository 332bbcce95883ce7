import pytest
import torch
from torch.nn import functional

from geomoe.algorithms import Now
from geomoe.losses import cka_diversity, load_balance, supcon
from tests.algorithms.reference import double, losses_of
from tests.losses.test_cka import loop_diversity
from tests.losses.test_load_balance import loop_load_balance
from tests.losses.test_supcon import loop_supcon

OFF = {"aux": 0.0, "cka": 0.0, "supcon": 0.0}


def mean(values):
    values = list(values)
    return sum(values) / len(values)


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
def test_terms_are_weighted_means_over_the_blocks(estimator, make, make_batch, loss_of):
    weights = {"aux": 0.3, "cka": 0.7, "supcon": 0.2}
    algorithm = make("moge", **weights, cka_estimator=estimator, cka_tokens=2, supcon_temperature=0.5).train()
    batch = make_batch()
    output, terms = loss_of(algorithm, batch)
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


@pytest.mark.slow
def test_gradients_are_those_of_loops_in_float64(make, make_batch):
    """Each term has its gradient, through the routers, the specialists and the shared expert."""
    weights = {"aux": 0.3, "cka": 0.7, "supcon": 0.2}
    method = make("moge", **weights, cka_estimator="biased", cka_tokens=0).train().double()
    batch = double(make_batch(6, unknown=1, labels=[0, 0, 0, 1, 1, 1]))
    answer = method.losses(batch, Now(0, 10, 0))
    output = answer.output
    want = {
        "task": mean(losses_of(output.logits, batch.label)),
        "aux": 0.3 * mean(loop_load_balance(one.logits, 2) for one in output.routings),
        "cka": 0.7 * mean(loop_diversity(one, "biased") for one in output.expert_outputs),
        "supcon": 0.2
        * mean(
            loop_supcon(features, batch.label, routing.weights.argmax(dim=1), 0.1)
            for features, routing in zip(output.shared_features, output.routings, strict=True)
        ),
    }
    leaves = [value for value in method.parameters() if value.requires_grad]
    assert answer.terms.keys() == want.keys()
    for name, literal in want.items():
        torch.testing.assert_close(answer.terms[name], literal, rtol=1e-9, atol=1e-12, msg=name)
        ours, loops = (
            torch.autograd.grad(one, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
            for one in (answer.terms[name], literal)
        )
        assert any(slope.abs().max() > 1e-6 for slope in loops), name
        for one, other in zip(ours, loops, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-10, msg=name)


def test_terms_of_weight_zero_are_not_computed(make, make_batch, loss_of):
    output, terms = loss_of(make("moge", **OFF).train(), make_batch())
    assert list(terms.named) == ["task"]
    assert torch.equal(terms.total, terms.named["task"])
    assert output.expert_outputs == ()


def test_zero_cka_tokens_means_all_of_them(make, make_batch, loss_of):
    output, _ = loss_of(make("moge", cka_tokens=0).train(), make_batch(6))
    assert output.expert_outputs[0].shape == (4, 6 * 4, 64)  # 16 px in patches of 8: 4 tokens


def test_shared_task_trains_the_shared_path_alone(make, make_batch, loss_of):
    algorithm = make("moge", **OFF, shared_task=0.5).train()
    batch = make_batch()
    _, terms = loss_of(algorithm, batch)
    shared = functional.cross_entropy(algorithm(batch, "shared").logits, batch.label)
    torch.testing.assert_close(terms.named["shared_task"], 0.5 * shared)
    torch.testing.assert_close(terms.total, terms.named["task"] + terms.named["shared_task"])
    terms.named["shared_task"].backward()
    reached = {
        key for key, p in algorithm.named_parameters() if p.grad is not None and p.grad.abs().max() > 0
    }
    assert any(".mlp." in key for key in reached)
    assert not any(key.startswith(("model.layers.", "model.encoder.")) for key in reached)


@pytest.mark.slow
def test_diversity_loss_makes_experts_differ(make, make_batch, loss_of):
    """The cross-entropy alone makes them differ too, but not nearly as much."""
    batch, ended = make_batch(48), {}
    for weight in (1e-9, 1.0):
        torch.manual_seed(0)
        algorithm = make("moge", aux=0.0, supcon=0.0, cka=weight, cka_tokens=0).train()
        optimizer, values = torch.optim.Adam(algorithm.parameters(), lr=3e-3), []
        for _ in range(12):
            optimizer.zero_grad()
            _, terms = loss_of(algorithm, batch)
            terms.total.backward()
            optimizer.step()
            values.append(terms.named["cka"].item() / weight)
        assert values[0] > 0.95  # copies of one network
        ended[weight] = values[-1]
    assert ended[1.0] < 0.1 < 0.2 < ended[1e-9], ended


def test_experts_are_chosen_on_request(make, make_batch, loss_of):
    algorithm, batch = make("moge").eval(), make_batch(6)
    with torch.no_grad():
        answers = [algorithm(batch, experts).logits for experts in ("all", "shared", 0, 1)]
        direct = algorithm.model(batch.image, experts="shared").logits
    assert torch.equal(answers[1], direct)
    assert all(not torch.equal(a, b) for i, a in enumerate(answers) for b in answers[:i])
