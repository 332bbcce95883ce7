import pytest
import torch

from geomoe.errors import InputError
from geomoe.losses.class_pairs import ClassPairs

LABEL = torch.tensor([0, 0, 1, 0, 1, 2, 0, 0, 1, 3])
DOMAIN = torch.tensor([2, 0, 0, 2, 5, 0, 5, -1, 0, -1])


def brute(label, domain):
    """(lower domain, higher domain, class) -> samples of both sides, by loops."""
    found = {}
    for one, (label_one, domain_one) in enumerate(zip(label.tolist(), domain.tolist(), strict=True)):
        for two, (label_two, domain_two) in enumerate(zip(label.tolist(), domain.tolist(), strict=True)):
            if label_one == label_two and 0 <= domain_one < domain_two:
                sides = found.setdefault((domain_one, domain_two, label_one), (set(), set()))
                sides[0].add(one)
                sides[1].add(two)
    return found


def listed(pairs, label):
    size, found = len(label), {}
    cells = [set((pairs.cell == cell).nonzero().flatten().tolist()) for cell in range(len(pairs.sizes))]
    for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        name = (pairs.domains[first].item(), pairs.domains[second].item(), label[min(cells[first])].item())
        assert name not in found
        found[name] = (cells[first], cells[second])
    for number, row, column in zip(pairs.free.tolist(), pairs.rows, pairs.columns, strict=True):
        sides = [[n for n in side.tolist() if n < size] for side in (row, column)]
        assert sides == [sorted(cells[pairs.first[number]]), sorted(cells[pairs.second[number]])]
    return found


def random_case(seed):
    torch.manual_seed(seed)
    return torch.randint(4, (23,)), torch.randint(-1, 4, (23,))


CASES = {
    "written out": (LABEL, DOMAIN),
    "random": random_case(1),
    "another": random_case(2),
    "one domain": (LABEL, torch.ones(10).long()),
    "none known": (LABEL, -torch.ones(10).long()),
    "one sample": (torch.tensor([3]), torch.tensor([0])),
    "no sample": (torch.zeros(0).long(), torch.zeros(0).long()),
    "forced only": (torch.tensor([0, 0, 0]), torch.tensor([0, 1, 1])),
}


@pytest.mark.parametrize("case", CASES)
def test_pairs_are_those_of_a_loop(case):
    label, domain = CASES[case]
    pairs = ClassPairs.of(label, domain)
    want = brute(label, domain)
    assert listed(pairs, label) == want
    free = {name for name, sides in want.items() if min(map(len, sides)) > 1}
    assert len(pairs.free) == len(free)
    names = [
        (pairs.domains[first].item(), pairs.domains[second].item())
        for first, second in zip(pairs.first, pairs.second, strict=True)
    ]
    for one in range(len(label)):
        for two in range(len(label)):
            number = pairs.pair[one, two].item()
            compared = label[one] == label[two] and 0 <= domain[one] < domain[two]
            assert (number < len(names)) == compared
            assert not compared or names[number] == (domain[one].item(), domain[two].item())


def test_means_and_shares():
    pairs = ClassPairs.of(LABEL, DOMAIN)
    values = torch.rand(10, 3, dtype=torch.float64)
    means = pairs.cell_means(values)
    for cell in range(len(pairs.sizes)):
        torch.testing.assert_close(means[cell], values[pairs.cell == cell].mean(dim=0))
    for share, first, second in zip(pairs.shares, pairs.first, pairs.second, strict=True):
        counts = [(pairs.cell == cell).sum().item() for cell in (first, second)]
        assert share.item() == pytest.approx(1 / (counts[0] * counts[1]))


@pytest.mark.parametrize(("label", "domain"), [(torch.zeros(3), torch.zeros(2)), (torch.zeros(3, 1),) * 2])
def test_refusals(label, domain):
    with pytest.raises(InputError, match=r"expected label and domain of one shape \(B,\); got \(3"):
        ClassPairs.of(label, domain)
