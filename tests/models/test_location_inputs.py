"""Networks with the place as an input, against their formulas in float64."""

import math

import pytest
import torch

from geomoe.encoders import create_encoder
from geomoe.errors import ConfigError, InputError
from geomoe.models import (
    FiLMNetwork,
    LocationMLPNetwork,
    LocationNetwork,
    LocationTokenViT,
    PlainNetwork,
    add_moge,
    create_backbone,
    create_network,
)

IMAGE = torch.randn(6, 3, 16, 16, dtype=torch.float64)
LONLAT = torch.tensor(
    [[10.0, 50.0], [-70.0, -30.0], [math.nan] * 2, [140.0, 36.0], [0.0, 0.0], [math.nan] * 2]
)
LONLAT = LONLAT.double()


class Phi64(torch.nn.Module):
    """A location encoder computed in float64: a table of places, and the vector of unknown ones."""

    def __init__(self, out_dim=8):
        super().__init__()
        self.out_dim = out_dim
        self.table = torch.nn.Parameter(torch.randn(6, out_dim, dtype=torch.float64))
        self.unknown = torch.nn.Parameter(torch.randn(out_dim, dtype=torch.float64))

    def forward(self, place):
        return torch.where(place.known[:, None], self.table, self.unknown)


def shaken(network):
    """In float64, with every weight away from its initial value."""
    for value in network.parameters():
        value.data = value.data.double() + 0.1 * torch.randn_like(value.data, dtype=torch.float64)
    return network.double().eval()


def make(kind, seed=0):
    torch.manual_seed(seed)
    vit, phi = create_backbone("vit_quick", num_classes=5, image_size=16), Phi64()
    if kind == "film":
        return FiLMNetwork(vit, phi, 7)
    if kind == "linear":
        return LocationNetwork(vit, phi, 5)
    if kind == "mlp":
        return LocationMLPNetwork(vit, phi, 5, 7)
    if kind == "token":
        return LocationTokenViT(vit, phi)
    return add_moge(
        vit, phi, blocks=(1, 3), num_experts=4, top_k=2, expert_noise=0.5, at_head=kind == "moge_le"
    )


KINDS = ("linear", "film", "mlp", "token", "moge_le")


def norm(x, layer):
    mean = sum(x) / len(x)
    spread = sum((value - mean) ** 2 for value in x) / len(x)
    return layer.weight * (x - mean) / (spread + layer.eps).sqrt() + layer.bias


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def line(x, layer):
    return layer.weight @ x + (0 if layer.bias is None else layer.bias)


def mlp(x, layers):
    return line(gelu(line(x, layers[0])), layers[2])


def phi_of(network, row):
    phi = network.encoder
    return phi.unknown if LONLAT[row].isnan().any() else phi.table[row]


def attention(block, tokens):
    """Softmax attention of one sample, head by head."""
    own = block.attn
    width = own.head_dim
    both = torch.stack([line(norm(token, block.norm1), own.qkv) for token in tokens])
    query, key, value = both.split(own.num_heads * width, dim=1)
    mixed = []
    for head in range(own.num_heads):
        part = slice(head * width, (head + 1) * width)
        scores = query[:, part] @ key[:, part].T / math.sqrt(width)
        shares = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
        mixed.append(shares @ value[:, part])
    return torch.stack([line(row, own.proj) for row in torch.cat(mixed, dim=1)])


def literal(kind, network, row):
    """Scores (C,) of one sample."""
    image, place, vit = IMAGE[row : row + 1], phi_of(network, row), network.backbone
    if kind == "token":
        tokens = vit._pos_embed(vit.patch_embed(image))[0]
        for number, block in enumerate(vit.blocks):
            own = network.tokens[number]
            every = torch.cat([tokens, line(place, own)[None]])
            every = every + attention(block, every)
            ffn = [line(gelu(line(norm(t, block.norm2), block.mlp.fc1)), block.mlp.fc2) for t in every]
            tokens = (every + torch.stack(ffn))[:-1]
        return line(vit.forward_head(vit.norm(tokens[None]), pre_logits=True)[0], vit.head)
    if kind == "moge_le":
        plain = PlainMoGE(network)(row)
        return plain + line(norm(place, network.place_head[0]), network.place_head[1])
    features = vit.forward_head(vit.forward_features(image), pre_logits=True)[0]
    if kind == "film":
        found = mlp(place, network.film)
        more, shift = found[: len(features)], found[len(features) :]
        return line((1 + more) * features + shift, vit.head)
    both = torch.cat([norm(features, network.norm_image), norm(place, network.norm_location)])
    return line(both, network.head) if kind == "linear" else mlp(both, network.head)


class PlainMoGE:
    """The scores of the same network without the encoding at its head."""

    def __init__(self, network):
        self.network = network

    def __call__(self, row):
        head, self.network.place_head = self.network.place_head, None
        try:
            return self.network(IMAGE, LONLAT).logits[row]
        finally:
            self.network.place_head = head


@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_its_formula_with_gradients(kind):
    network = shaken(make(kind))
    got = network(IMAGE, LONLAT).logits
    want = torch.stack([literal(kind, network, row) for row in range(6)])
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
    weight = torch.randn(6, 5, dtype=torch.float64)
    names, values = zip(*network.named_parameters(), strict=True)
    slopes = [
        torch.autograd.grad((scores * weight).sum(), values, allow_unused=True, materialize_grads=True)
        for scores in (got, want)
    ]
    for name, one, other in zip(names, *slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9, msg=name)


@pytest.mark.parametrize("kind", ["film", "moge_le"])
def test_a_new_network_answers_as_the_one_without_the_place(kind):
    network = make(kind)
    other = PlainNetwork(make(kind).backbone) if kind == "film" else make("moge")
    image, lonlat = IMAGE.float(), LONLAT
    network.encoder.float(), getattr(other, "encoder", None) and other.encoder.float()
    network.eval(), other.eval()
    assert torch.equal(network(image, lonlat).logits, other(image, lonlat).logits)


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_places_get_the_learned_vector_and_the_features_are_the_images(kind):
    network = shaken(make(kind))
    image = IMAGE[:1].expand(6, -1, -1, -1)
    output = network(image, LONLAT)
    torch.testing.assert_close(output.logits[2], output.logits[5], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(output.logits[0], output.logits[1])
    assert not torch.allclose(output.logits[0], output.logits[2])
    if kind in ("linear", "film", "mlp"):
        torch.testing.assert_close(output.features[0], output.features[1], rtol=1e-12, atol=1e-12)
    with pytest.raises(ConfigError, match="this network needs places"):
        network(image)
    with pytest.raises(InputError, match="one for each of the 6 images; got 2"):
        network(image, LONLAT[:2])


def test_the_shared_expert_alone_has_no_place_at_the_head():
    network = shaken(make("moge_le"))
    choices = ("all", "shared", ("shared", "shared"), 0, (0, "shared"))
    many = network.forward_many(IMAGE, choices, LONLAT)
    for choice in choices:
        torch.testing.assert_close(many[choice].logits, network(IMAGE, LONLAT, experts=choice).logits)
    backbone = network.remove()(IMAGE)
    torch.testing.assert_close(network(IMAGE, experts="shared").logits, backbone)
    torch.testing.assert_close(many["shared"].logits, backbone)
    torch.testing.assert_close(many["shared", "shared"].logits, backbone)
    assert not torch.allclose(network(IMAGE, experts=0).logits, many[0].logits)  # no place given: no term


def test_samples_of_expert_dropout_have_no_place_at_the_head():
    network = shaken(make("moge_le"))
    network.expert_dropout = 0.5
    network.train()
    network.backbone.eval()  # its batch norms answer the same
    torch.manual_seed(2)
    scores = network(IMAGE, LONLAT).logits
    torch.manual_seed(2)
    drop = torch.rand(6) < 0.5
    assert drop.any()
    assert not drop.all()
    torch.testing.assert_close(scores[drop], network.remove()(IMAGE)[drop])
    network.eval()
    torch.testing.assert_close(scores[~drop], network(IMAGE, LONLAT).logits[~drop])


@pytest.mark.parametrize("kind", ["linear", "film", "mlp", "token"])
def test_there_are_no_experts_to_choose(kind):
    with pytest.raises(ConfigError, match="no experts to choose from"):
        shaken(make(kind))(IMAGE, LONLAT, experts="shared")


def test_sizes_and_backbones_are_refused():
    vit, phi = create_backbone("vit_quick", num_classes=5, image_size=16), create_encoder("wrap", out_dim=8)
    with pytest.raises(ConfigError, match="hidden: expected at least 1; got 0"):
        FiLMNetwork(vit, phi, 0)
    with pytest.raises(ConfigError, match="hidden: expected at least 1; got 0"):
        LocationMLPNetwork(vit, phi, 5, 0)
    with pytest.raises(ConfigError, match="num_classes: expected at least 1; got 0"):
        LocationMLPNetwork(vit, phi, 0)
    cnn = create_network("mnist_cnn", num_classes=5, image_size=28, bands=2)
    with pytest.raises(ConfigError, match="expected a timm VisionTransformer"):
        LocationTokenViT(cnn, phi)
    assert FiLMNetwork(cnn, phi)(torch.randn(2, 2, 28, 28), torch.zeros(2, 2)).logits.shape == (2, 5)


def test_modules_beside_the_backbone_name_the_depth_that_they_work_at():
    token, moge = make("token"), make("moge_le")
    assert [there for _, there in token.companions()] == list(token.backbone.blocks)
    assert [there for _, there in moge.companions()] == [moge.backbone.blocks[b].mlp for b in (1, 3)]
    assert make("film").companions() == []
