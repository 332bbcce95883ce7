"""Each flag is raised by the numbers that it is for, and by no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geomoe.diagnose.between import Side, pair_of
from geomoe.diagnose.flags import _pair, flags_of
from geomoe.diagnose.geography import Moves
from geomoe.diagnose.information import properties_of
from geomoe.diagnose.single import found_of, subject_of
from geomoe.diagnose.sweep import Answers
from geomoe.diagnose.values import Pair


@pytest.fixture
def judge(samples, settings, checkpoints):
    """Flags of networks on the samples, named A, B, ...; with ``moves``, of their use of geography."""
    import geomoe

    predictor = geomoe.load(checkpoints["moge"], device="cpu")
    lonlat = {"shuffled": samples.lonlat[::-1], "dropped": np.full((240, 2), np.nan)}

    def of(*seen, moves=False, settings=settings):
        sides = [Side(name, one, None) for name, one in zip("ABC", seen, strict=False)]
        subjects = [subject_of(side, checkpoints["moge"], predictor, 240) for side in sides]
        properties = properties_of(samples, "region", climate=False)
        asked = Moves(lonlat if moves else {}, ())
        found = [found_of(side, samples, settings, properties, asked) for side in sides]
        pairs = [pair_of(sides[0], sides[1], samples, settings)] if len(sides) > 1 else []
        return flags_of(subjects, found, pairs)

    return of


def sent(seen, experts):
    """The same network, which sends every sample of a layer to one expert."""
    weights = np.full_like(seen.weights, 0.001)
    for layer, expert in enumerate(experts):
        weights[layer, :, expert] = 0.998
    return replace(seen, weights=weights)


def kinds(flags, where):
    return [flag.kind for flag in flags if flag.where == where]


@pytest.mark.slow
def test_healthy_networks_have_none(judge, seen, other):
    assert judge(seen, other) == ()


def test_collapsed_routing_and_dead_experts(judge, seen):
    flags = judge(sent(seen, (1, 2)))
    assert kinds(flags, "A, block 2") == ["collapsed", "constant", "dead"]
    assert flags[0].text.startswith(
        "routing has collapsed: expert 1 has 100% of the gate weight; entropy, divergences, r and J say"
    )
    assert flags[2].text == "2 of 3 experts are dead, by mean gate weight: 0 (0.10 %), 2 (0.10 %)"


def test_one_expert_first_without_most_of_the_weight(judge, seen):
    seen.weights[0][:] = [0.5, 0.45, 0.05]
    seen.weights[0][:20] = [0.0, 1.0, 0.0]
    flag = judge(seen)[0]
    assert flag.kind == "one first"
    assert flag.text == "expert 0 is first for 92% of the samples; its mean gate weight is 46%"


def test_routing_that_is_the_same_for_all(judge, seen):
    seen.weights[0][:] = [0.3, 0.5, 0.2]
    assert kinds(judge(seen), "A, block 2") == ["one first", "constant"]
    seen.weights[0][::2] = [0.401, 0.4, 0.199]
    seen.weights[0][1::2] = [0.4, 0.401, 0.199]
    flags = [flag for flag in judge(seen) if flag.kind == "constant"]
    assert [flag.text for flag in flags] == [
        "routing is the same for every sample: no gate weight moves by more than 0.1 points"
    ]


def test_experts_that_are_alike(judge, seen):
    seen.outputs[1, 1:] = seen.outputs[1, :1]
    seen.tokens[0][1:] = 3 * seen.tokens[0][:1] + 1
    flags = judge(seen)
    assert [(flag.where, flag.text) for flag in flags] == [
        ("A, block 2", "the experts are alike: their mean linear CKA is 1.00"),
        ("A, block 5", "the experts are alike: their mean cosine is 1.00"),
    ]


def test_information_that_permuted_blocks_explain(judge, seen, samples, settings):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), (2, 240)).astype(np.float32)  # routing at random
    flags = judge(replace(seen, weights=weights), settings=replace(settings, permutations=99))
    said = [flag.text for flag in flags if flag.kind == "permutation"]
    assert len(said) >= 4  # of 2 layers with 3 properties
    assert all(
        text.startswith("permuted blocks explain what the dominant expert shares with") for text in said
    )
    assert judge(replace(seen, weights=weights), settings=replace(settings, permutations=0)) == ()


def test_no_use_of_geography(judge, seen):
    same = Answers(seen.predicted, seen.top1)
    flags = judge(replace(seen, moved={"shuffled": same, "dropped": same}), moves=True)
    assert [(flag.kind, flag.where) for flag in flags] == [("no geography", "A")]
    assert "shuffled places change 0.0% of its answers, and dropped ones 0.0%" in flags[0].text


def test_places_that_change_answers_without_gain(judge, seen, samples):
    flags = judge(seen, moves=True)  # right at 60 % of the samples, wherever they are
    assert [(flag.kind, flag.where) for flag in flags] == [("no gain", "A")]
    better = replace(seen, predicted=samples.label)
    assert judge(better, moves=True) == ()


def test_collapsed_on_different_experts(judge, seen):
    flags = judge(sent(seen, (0, 1)), sent(seen, (2, 1)))
    assert kinds(flags, "A and B, block 2") == ["-1/(E-1)", "idle routers", "permutation"]
    texts = [flag.text for flag in flags if flag.where == "A and B, block 2"]
    assert texts[0].startswith(
        "r = -0.50 is -1 / (E - 1) = -0.50: two routers that each send all samples to one"
    )
    assert "r = -0.50" in texts[1]
    assert "-0.50 becomes +1.00 with matched experts, and J 0.00 becomes 1.00" in texts[2]
    assert kinds(flags, "A and B, block 5") == ["idle routers"]


@pytest.mark.parametrize(("sides", "said"), [((), "neither does"), (("B",), "only that of B does")])
def test_the_correlation_of_collapsed_routers_without_them(
    judge, seen, other, samples, settings, sides, said
):
    layer = pair_of(Side("A", seen, None), Side("B", other, None), samples, settings).layers[0]
    near = replace(layer, r=-0.49, r_matched=0.2)
    (flag,) = _pair(Pair("A", "B", 0.5, (near,)), near, {f"{side}, {near.name}" for side in sides})
    assert flag.kind == "-1/(E-1)"
    assert flag.text.endswith(f"different numbers; here {said}, so r may be near it by chance")


def test_renumbering_explains_a_low_correlation(judge, seen):
    order = [1, 2, 0]
    twin = replace(seen, weights=seen.weights[:, :, order], outputs=seen.outputs[:, order])
    flags = judge(seen, twin)
    assert {flag.kind for flag in flags} <= {"permutation", "-1/(E-1)"}
    said = [flag.text for flag in flags if flag.kind == "permutation"]
    assert len(said) == 2
    assert all("becomes +1.00 with matched experts" in text for text in said)


def test_correlation_that_is_not_defined(judge, seen):
    flat = replace(seen, weights=np.full_like(seen.weights, 1 / 3))
    flags = judge(seen, flat)
    assert [flag.kind for flag in flags if flag.where.startswith("A and B")] == ["undefined", "undefined"]


def test_one_expert_alone_is_no_collapse(judge, seen):
    single = replace(
        seen,
        weights=np.ones_like(seen.weights[:, :, :1]),
        outputs=seen.outputs[:, :1],
        forced=seen.forced[:, :1],
        tokens=tuple(part[:1] for part in seen.tokens),
    )
    assert [flag.kind for flag in judge(single, single)] == ["undefined", "undefined"]
