"""SatCLIP: the released format, read strictly, and numbers equal to torchgeo's."""

from __future__ import annotations

import os
import pickle
import sys
import types
import zipfile

import pytest
import torch

from geomoe.encoders import SatCLIP, SatCLIPEncoder, create_encoder
from geomoe.encoders.satclip_weights import RELEASED, find_weights, read_satclip
from geomoe.errors import CheckpointError, ConfigError, DependencyNotFoundError

HERE = "model.location.nnet."


def test_reads_the_released_format(make_satclip):
    path, content = make_satclip(legendre_polys=8, capacity=48, embed_dim=20, num_hidden_layers=3)
    shape, state = read_satclip(path)
    assert shape == (8, 48, 20, 3, "analytic")
    theirs = {key.removeprefix(HERE) for key in content["state_dict"] if key.startswith(HERE)}
    assert set(state) == theirs
    model = SatCLIP.from_file(path)
    assert {value.dtype for value in model.parameters()} == {torch.float64}
    for key, value in model.nnet.state_dict().items():
        assert torch.equal(value, content["state_dict"][HERE + key])


@pytest.mark.parametrize("polys", [10, 40])
def test_equals_torchgeo(make_satclip, polys):
    peer = pytest.importorskip(
        "torchgeo.models.satclip", reason="torchgeo before 0.10 (Python 3.11) has none"
    )
    path, content = make_satclip(legendre_polys=polys, capacity=96, embed_dim=32)
    torch.set_default_dtype(torch.float64)  # else torchgeo rounds its constants to float32
    try:
        theirs = peer.SatCLIP(polys, 96, 32, 2)
    finally:
        torch.set_default_dtype(torch.float32)
    prefix = "model.location."
    state = {k.removeprefix(prefix): v for k, v in content["state_dict"].items() if k.startswith(prefix)}
    theirs.load_state_dict(state)
    theirs.eval()
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(300, 2, generator=generator, dtype=torch.float64)
    places = uniform * torch.tensor([360.0, 179.8]) - torch.tensor([180.0, 89.9])  # torchgeo clamps at 89.95
    ours = SatCLIP.from_file(path)
    torch.testing.assert_close(ours(places), theirs(places), rtol=0, atol=1e-11)


def test_stored_convention_is_honoured(make_satclip, places):
    """closed-form: orders that are odd change sign, order 0 loses its pi; so the embedding differs."""
    path, content = make_satclip(
        harmonics_calculation="closed-form", legendre_polys=5, capacity=16, embed_dim=8
    )
    closed = SatCLIP.from_file(path)
    assert closed.posenc.convention == "satclip-closed-form"
    content["hyper_parameters"]["harmonics_calculation"] = "analytic"
    torch.save(content, path)
    analytic = SatCLIP.from_file(path)
    assert (closed(places) - analytic(places)).abs().max() > 1e-2
    # moving the difference of the conventions into the first weights makes them equal again
    factor = analytic.posenc(places[:1]) / closed.posenc(places[:1])
    with torch.no_grad():
        closed.nnet.first.weight.mul_(factor)
    torch.testing.assert_close(closed(places), analytic(places))


def test_frozen_stays_in_eval_mode(make_satclip, places):
    path, _ = make_satclip(legendre_polys=5, capacity=16, embed_dim=8)
    encoder = create_encoder("satclip", weights=str(path))
    module = torch.nn.Sequential(encoder)  # as a trainer would hold it
    module.train()
    assert encoder.training
    assert encoder.head.training
    assert not any(part.training for part in encoder.network.modules())
    assert torch.equal(encoder.features(places), encoder.features(places))
    trained = create_encoder("satclip", weights=str(path), freeze=False).train()
    assert trained.network.nnet.first.dropout == 0.5
    assert not torch.equal(trained.features(places), trained.features(places))
    assert torch.equal(trained.eval().features(places), trained.features(places))


def test_rebuilt_without_its_file(make_satclip, places):
    path, _ = make_satclip(legendre_polys=5, capacity=16, embed_dim=8, harmonics_calculation="closed-form")
    encoder = create_encoder("satclip", weights=str(path)).eval()
    path.unlink()
    again = create_encoder("satclip", weights=str(path), architecture=encoder.architecture).eval()
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(places), encoder(places))


def test_float32_network_and_grid_agree(places):
    network = SatCLIP(20, 64, 32).eval()
    encoder = SatCLIPEncoder(network).eval()
    assert encoder.architecture["dtype"] == "float32"
    lon, lat = [0.0, 90.0, 180.0], [89.0, 0.0]
    cells = torch.tensor([[x, y] for y in lat for x in lon], dtype=torch.float64)
    (_, table), *more = list(encoder.embed_grid(lon, lat))
    assert not more
    torch.testing.assert_close(table, encoder(cells), rtol=0, atol=1e-5)


class Bomb:
    """Pickles into a call that leaves a trace, were it ever loaded as code."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
def test_code_is_refused_unrun(tmp_path, form):
    trace, path = tmp_path / "trace", tmp_path / "bomb.ckpt"
    content = {"hyper_parameters": Bomb(trace), "state_dict": {}}
    if form == "bare":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(CheckpointError, match=r"bomb.ckpt: refused, nothing was executed"):
        SatCLIP.from_file(path)
    assert not trace.exists()


def _drop(*keys):
    return lambda content: [content["state_dict"].pop(key) for key in keys]


def _set(key, value):
    return lambda content: content["state_dict"].__setitem__(key, value)


@pytest.mark.parametrize(
    ("edit", "hyper", "message"),
    [
        (_drop(HERE + "last_layer.bias"), {}, f": missing: {HERE}last_layer.bias$"),
        (_set(HERE + "layers.9.weight", torch.zeros(1)), {}, f"unexpected: {HERE}layers.9.weight"),
        (_set("model.location.posenc.x", torch.zeros(1)), {}, "unexpected: model.location.posenc.x"),
        (
            _set(HERE + "layers.0.bias", torch.zeros(5)),
            {},
            r"layers.0.bias \(5,\) in the file, \(16,\) in the model",
        ),
        (_set(HERE + "layers.0.bias", "x"), {}, "no tensors: .*layers.0.bias"),
        (_set(HERE + "layers.0.bias", torch.full((16,), float("nan"))), {}, "holds NaN or infinity"),
        (
            None,
            {"harmonics_calculation": "discretized"},
            "expected analytic or closed-form; got 'discretized'",
        ),
        (None, {"le_type": "grid", "pe_type": "fcnet"}, "2 faults: .*le_type.*'grid'; .*pe_type.*'fcnet'"),
        (lambda c: c["hyper_parameters"].pop("capacity"), {}, "capacity: expected a positive.*got None"),
        (lambda c: c.pop("hyper_parameters"), {}, "has no hyper_parameters"),
        (lambda c: c.clear(), {}, "has no hyper_parameters and no state_dict"),
    ],
)
def test_foreign_content_is_refused(make_satclip, edit, hyper, message):
    sizes = {"legendre_polys": 5, "capacity": 16, "embed_dim": 8}
    path, _ = make_satclip(edit=edit, **sizes, **hyper)
    with pytest.raises(CheckpointError, match=message) as caught:
        SatCLIP.from_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_faults_at_once(make_satclip):
    def edit(content):
        _drop(HERE + "last_layer.bias", HERE + "layers.1.bias")(content)
        _set(HERE + "layers.0.bias", torch.zeros(5))(content)
        _set(HERE + "extra", torch.zeros(5))(content)

    path, _ = make_satclip(edit=edit, legendre_polys=5, capacity=16, embed_dim=8)
    with pytest.raises(CheckpointError, match=r"missing: .*, .*; unexpected: .*; misshaped: .* in the file"):
        SatCLIP.from_file(path)


def test_broken_files_are_refused(make_satclip, tmp_path):
    path, _ = make_satclip(legendre_polys=5, capacity=16, embed_dim=8)
    whole = path.read_bytes()
    with zipfile.ZipFile(tmp_path / "other.ckpt", "w") as other:
        other.writestr("hello.txt", "hello")
    torch.save([1, 2], tmp_path / "list.ckpt")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.ckpt").write_text("version https://git-lfs.github.com/spec/v1\n")
    for name, message in [
        ("absent.ckpt", "no such SatCLIP checkpoint; or ask the hub with hf:NAME"),
        ("empty.ckpt", "empty file"),
        ("cut.ckpt", "corrupt|refused"),
        ("text.ckpt", "corrupt|refused"),
        ("other.ckpt", "corrupt"),
        ("list.ckpt", "it holds a list"),
        ("", "no such SatCLIP checkpoint"),
    ]:
        with pytest.raises(CheckpointError, match=message) as caught:
            SatCLIP.from_file(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*RELEASED, "microsoft/SatCLIP-ViT16-L40", "satclip-resnet50-l10"])
def test_hub_is_asked_for_the_released_files(name, monkeypatch, tmp_path):
    asked = []

    def download(repository, file, *, local_files_only):
        asked.append((repository, file, local_files_only))
        return str(tmp_path / file)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=download))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("GEOMOE_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # a server that is known, network or not
    short = name.removeprefix("microsoft/").lower()
    assert find_weights(f"hf:{name}") == tmp_path / f"{short}.ckpt"
    ((repository, file, local),) = asked
    assert repository.lower() == f"microsoft/{short}"
    assert repository.removeprefix("microsoft/") in RELEASED
    assert file == f"{short}.ckpt"
    assert local is False


@pytest.mark.parametrize("switch", ["GEOMOE_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_switch(monkeypatch, switch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("GEOMOE_OFFLINE", raising=False)
    monkeypatch.setenv(switch, "1")
    why = f"not in the hub's cache, and downloads are switched off .{switch}.; give a local file"
    message = f"hf:microsoft/SatCLIP-ViT16-L40: .*{why}"
    with pytest.raises(CheckpointError, match=message):
        find_weights("hf:SatCLIP-ViT16-L40")


def test_hub_refusals(monkeypatch):
    with pytest.raises(CheckpointError, match="expected hf:NAME with NAME one of SatCLIP-ResNet18-L10"):
        find_weights("hf:SatCLIP-ViT16-L20")

    def download(*_, **__):
        raise OSError("no\nroute")

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=download))
    with pytest.raises(
        CheckpointError, match=r"the hub did not give it \(OSError: no route\); give a local file"
    ):
        find_weights("hf:SatCLIP-ViT16-L40")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DependencyNotFoundError, match="pip install huggingface_hub"):
        find_weights("hf:SatCLIP-ViT16-L40")


def test_sizes_are_checked():
    with pytest.raises(ConfigError, match="harmonics_calculation: expected one of analytic, closed-form"):
        SatCLIP(4, 8, 8, harmonics_calculation="exact")
