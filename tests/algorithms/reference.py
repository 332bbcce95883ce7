"""Literal references that the tests of risk methods share."""

import torch

DOMAINS = [
    0,
    0,
    2,
    0,
    -1,
    0,
    2,
    3,
    0,
    2,
    9,
    0,
]  # 1 is missing, 3 has one sample, -1 and 9 are unknown


def by_domain(domains):
    """Rows of each of the training domains 0 .. 3 that is there."""
    rows = [[row for row, own in enumerate(domains) if own == domain] for domain in range(4)]
    return [one for one in rows if one]


def losses_of(logits, labels):
    """Cross-entropies as a list of tensors."""
    return [-(row.exp() / row.exp().sum()).log()[label] for row, label in zip(logits, labels, strict=True)]


def mean(values):
    """The mean of a list of tensors."""
    return sum(values) / len(values)


def double(batch):
    """The same batch with images of float64."""
    return batch._replace(image=batch.image.double())


def same_with_gradient(method, got, want, rtol=1e-10):
    """Two losses are equal, and so are their gradients by an early and by the last weight."""
    torch.testing.assert_close(got, want, rtol=rtol, atol=1e-12)
    backbone = method.model.backbone
    for weight in (backbone.head.weight, backbone.blocks[0].mlp.fc1.weight):
        slopes = [torch.autograd.grad(value, weight, retain_graph=True)[0] for value in (got, want)]
        torch.testing.assert_close(*slopes, rtol=max(rtol, 1e-7), atol=max(rtol / 10, 1e-10))


def coloured(make_batch, agreement, size=200):
    """Two classes told by a shape (right in three of four images) and by a colour (by domain)."""
    domain = torch.arange(size) % len(agreement)
    shape = torch.randint(2, (size,))
    turned = torch.rand(size) < 0.25
    label = torch.where(turned, 1 - shape, shape)
    rate = torch.tensor(agreement)[domain]
    colour = torch.where(torch.rand(size) < rate, label, 1 - label)
    image = torch.zeros(size, 3, 16, 16)
    image[:, 0] = (2.0 * shape - 1)[:, None, None]
    image[:, 1] = (2.0 * colour - 1)[:, None, None]
    batch = make_batch(size, unknown=0, labels=label, domains=domain)
    return batch._replace(image=image)


def accuracy_without_the_colour(method, steps, make_batch, now, updates):
    """Train where a colour tells more than the shape, in each domain; test where it is mostly wrong."""
    test = coloured(make_batch, [0.1, 0.1], 400)
    for number in range(updates):
        method.update(coloured(make_batch, [0.99, 0.7]), now(number), steps)
    with torch.no_grad():
        logits = method.eval()(test).logits
    return (logits.argmax(dim=1) == test.label).float().mean().item()
