"""SatCLIP checkpoints in the released format, with random weights."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

OFFICIAL = {
    "embed_dim": 256,
    "image_resolution": 256,
    "vision_layers": "moco_resnet18",
    "vision_width": 768,
    "vision_patch_size": 32,
    "in_channels": 13,
    "le_type": "sphericalharmonics",
    "pe_type": "siren",
    "frequency_num": 16,
    "max_radius": 260,
    "min_radius": 1,
    "legendre_polys": 10,
    "harmonics_calculation": "analytic",
    "sh_embedding_dims": 32,
    "learning_rate": 1e-4,
    "weight_decay": 0.01,
    "num_hidden_layers": 2,
    "capacity": 512,
    # left over from an older version of the upstream module; its loader drops them
    "eval_downstream": False,
    "air_temp_data_path": "data/air_temp",
    "election_data_path": "data/election",
}


def official_checkpoint(**hyper):
    """A Lightning checkpoint with the keys of upstream's SatCLIPLightningModule (vision tower shortened)."""
    hyper = {**OFFICIAL, **hyper}
    sizes = [hyper["legendre_polys"] ** 2, *[hyper["capacity"]] * hyper["num_hidden_layers"]]
    nnet = {}
    for layer, (width_in, width_out) in enumerate(pairwise(sizes)):
        bound = 1 / width_in if layer == 0 else (6 / width_in) ** 0.5
        nnet[f"layers.{layer}.weight"] = torch.empty(width_out, width_in).double().uniform_(-bound, bound)
        nnet[f"layers.{layer}.bias"] = torch.empty(width_out).double().uniform_(-bound, bound)
    bound = (6 / sizes[-1]) ** 0.5
    nnet["last_layer.weight"] = torch.empty(hyper["embed_dim"], sizes[-1]).double().uniform_(-bound, bound)
    nnet["last_layer.bias"] = torch.empty(hyper["embed_dim"]).double().uniform_(-bound, bound)
    state = {
        "model.logit_scale": torch.tensor(2.6593),
        "model.visual.conv1.weight": torch.randn(64, 13, 7, 7),
        "model.visual.bn1.weight": torch.ones(64),
        "model.visual.bn1.num_batches_tracked": torch.tensor(3),
        "model.visual.fc.weight": torch.randn(hyper["embed_dim"], 512),
    }
    # Upstream registers the network twice: as `nnet` and inside `location`.
    state |= {f"model.nnet.{key}": value for key, value in nnet.items()}
    state |= {f"model.location.nnet.{key}": value for key, value in nnet.items()}
    return {
        "epoch": 499,
        "global_step": 4500,
        "pytorch-lightning_version": "2.0.0",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 500}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'val_loss'}": {"best_model_score": torch.tensor(1.5)}},
        "optimizer_states": [{"state": {}, "param_groups": [{"lr": 1e-4}]}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": hyper,
    }


@pytest.fixture
def make_satclip(tmp_path):
    """Write a checkpoint in the released format; returns its path and its content."""

    def make(name="satclip-resnet18-l10.ckpt", edit=None, **hyper):
        content = official_checkpoint(**hyper)
        if edit is not None:
            edit(content)
        path = tmp_path / name
        torch.save(content, path)
        return path, content

    return make


@pytest.fixture
def places():
    """Places all over the Earth, the awkward ones included: (N, 2) float64."""
    generator = torch.Generator().manual_seed(5)
    lon = torch.rand(40, generator=generator, dtype=torch.float64) * 360 - 180
    lat = torch.rad2deg(torch.asin(torch.rand(40, generator=generator, dtype=torch.float64) * 2 - 1))
    awkward = [
        [0, 90],
        [77, 90],
        [0, -90],
        [180, 10],
        [-180, 10],
        [0, 0],
        [-90, 45],
        [12, 89.99],
        [5, -89.999],
    ]
    return torch.cat([torch.stack([lon, lat], dim=1), torch.tensor(awkward, dtype=torch.float64)])
