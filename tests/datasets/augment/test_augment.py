"""Batched augmentation, held against torchvision's and PIL's own, image by image."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from scipy.stats import ks_2samp
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from geomoe.datasets.augment import photometric, randaugment
from geomoe.datasets.augment.crops import Boxes, crop_resize, random_boxes
from geomoe.datasets.augment.pipeline import AUGMENTS, augment_images, check_augment
from geomoe.datasets.batches.to_batch import to_batch
from geomoe.errors import ConfigError


@pytest.fixture
def images():
    """Eight smooth pictures with edges, (8, 3, 40, 56) whole numbers in 0..255; the last one is grey."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(8, 3, 5, 7, generator=generator) * 255
    image = functional.resize(small, [40, 56], antialias=True)
    image[:, :, 10:20, 5:25] = small[:, :, :1, :1]
    image[-1] = image[-1, :1]
    return image.round()


# --- crops --------------------------------------------------------------------------------------


def test_crops_are_torchvisions_resized_crops(images):
    torch.manual_seed(0)
    boxes = random_boxes(8, 40, 56, scale=(0.1, 1.0))
    mirror = torch.tensor([True, False] * 4)
    for size in ((40, 56), (24, 24), (80, 90)):
        found = crop_resize(images, boxes, size, mirror)
        for i, image in enumerate(images):
            box = [int(side[i]) for side in boxes]
            want = functional.resized_crop(image, *box, size=list(size), antialias=True)
            want = want.flip(-1) if mirror[i] else want
            torch.testing.assert_close(found[i], want, atol=2e-3, rtol=0)


def test_the_whole_box_changes_nothing(images):
    whole = Boxes(*(torch.full((8,), side) for side in (0, 0, 40, 56)))
    torch.testing.assert_close(crop_resize(images, whole, (40, 56)), images)


def test_a_box_cut_out_is_all_that_is_seen(images):
    boxes = Boxes(*(torch.full((8,), side) for side in (10, 20, 12, 16)))
    other = images.clone()
    mask = torch.ones(40, 56, dtype=torch.bool)
    mask[10:22, 20:36] = False
    other[:, :, mask] = 0
    assert torch.equal(crop_resize(images, boxes, (40, 56)), crop_resize(other, boxes, (40, 56)))


@pytest.mark.parametrize(
    ("height", "width", "scale"), [(224, 224, (0.7, 1.0)), (60, 90, (0.08, 1.0)), (224, 80, (0.7, 1.0))]
)
def test_boxes_are_distributed_as_torchvisions(height, width, scale):
    torch.manual_seed(0)
    count = 4000
    boxes = torch.stack(random_boxes(count, height, width, scale)).double()
    reference = v2.RandomResizedCrop(8, scale=scale)
    image = torch.zeros(1, height, width)
    drawn = [reference.make_params([image]) for _ in range(count)]
    want = torch.tensor([[p["top"], p["left"], p["height"], p["width"]] for p in drawn]).double().T
    assert (boxes >= 0).all()
    assert (boxes[0] + boxes[2] <= height).all()
    assert (boxes[1] + boxes[3] <= width).all()
    for name, found, other in zip(("top", "left", "height", "width"), boxes, want, strict=True):
        assert ks_2samp(found, other).pvalue > 1e-3, name
    assert ks_2samp(boxes[2] * boxes[3], want[2] * want[3]).pvalue > 1e-3


# --- colour -------------------------------------------------------------------------------------

FACTORS = torch.tensor([0.0, 0.5, 0.7, 1.0, 1.1, 1.3, 2.0, 0.9])
SHIFTS = torch.tensor([-0.5, -0.3, -0.01, 0.0, 0.01, 0.2, 0.5, 0.3])


@pytest.mark.parametrize(
    ("own", "reference", "values"),
    [
        (photometric.brightness, functional.adjust_brightness, FACTORS),
        (photometric.contrast, functional.adjust_contrast, FACTORS),
        (photometric.saturation, functional.adjust_saturation, FACTORS),
        (photometric.hue, functional.adjust_hue, SHIFTS),
    ],
)
def test_each_change_is_torchvisions(images, own, reference, values):
    found = own(images / 255, values)
    want = torch.stack([reference(image / 255, float(v)) for image, v in zip(images, values, strict=True)])
    torch.testing.assert_close(found, want, atol=2e-6, rtol=0)


def test_grey_is_torchvisions(images):
    want = functional.rgb_to_grayscale(images / 255, num_output_channels=1)
    torch.testing.assert_close(photometric.grey(images / 255), want)


def test_jitter_takes_the_steps_of_each_image_in_its_own_order(images):
    torch.manual_seed(1)
    strengths, order = photometric.draw_jitter(8, (0.9, 0.9, 0.9, 0.5))
    assert len({tuple(row) for row in order.tolist()}) > 4
    found = photometric.colour_jitter(images / 255, strengths, order)
    steps = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    )
    for i, image in enumerate(images):
        want = image / 255
        for step in order[i].tolist():
            want = steps[step](want, float(strengths[i, step]))
        torch.testing.assert_close(found[i], want, atol=1e-5, rtol=0)


def test_jitter_is_drawn_as_torchvision_draws_it():
    torch.manual_seed(0)
    strengths, order = photometric.draw_jitter(4000, (0.3, 0.2, 0.1, 0.3))
    reference = v2.ColorJitter(0.3, 0.2, 0.1, 0.3)
    drawn = [reference.make_params([]) for _ in range(4000)]
    names = ("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")
    for column, name in enumerate(names):
        assert ks_2samp(strengths[:, column], [p[name] for p in drawn]).pvalue > 1e-3, name
    assert (order.sort(dim=1).values == torch.arange(4)).all()
    firsts = order[:, 0].bincount()
    assert ((firsts - 1000).abs() < 120).all()


# --- RandAugment, against the operations of WILDS' file ------------------------------------------


def affine(image, matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


PIL_OPERATIONS = [
    lambda im, v: ImageOps.autocontrast(im),
    lambda im, v: ImageEnhance.Brightness(im).enhance(v),
    lambda im, v: ImageEnhance.Color(im).enhance(v),
    lambda im, v: ImageEnhance.Contrast(im).enhance(v),
    lambda im, v: ImageOps.equalize(im),
    lambda im, v: im,
    lambda im, v: ImageOps.posterize(im, max(1, int(v))),
    lambda im, v: im.rotate(v),
    lambda im, v: ImageEnhance.Sharpness(im).enhance(v),
    lambda im, v: affine(im, (1, v, 0, 0, 1, 0)),
    lambda im, v: affine(im, (1, 0, 0, v, 1, 0)),
    lambda im, v: ImageOps.solarize(im, v),
    lambda im, v: affine(im, (1, 0, v * im.size[0], 0, 1, 0)),
    lambda im, v: affine(im, (1, 0, 0, 0, 1, v * im.size[1])),
]
GEOMETRIC = (7, 9, 10, 12, 13)


def pil_of(image):
    return Image.fromarray(image.permute(1, 2, 0).to(torch.uint8).numpy())


def without_patch(images, operation, strength):
    """One operation on each image, and the grey patch out of the way: one pixel in the last corner."""
    draws = randaugment.Draws(
        torch.full((len(images), 1), operation),
        strength[:, None],
        torch.tensor([[0.0, 1.0, 1.0]] * len(images)),
    )
    return randaugment.randaugment(images, draws)


@pytest.mark.parametrize("number", range(len(PIL_OPERATIONS)))
def test_each_operation_is_pils(images, number):
    strength = torch.linspace(0.03, 0.97, 8)
    found = without_patch(images, number, strength)
    _, low, high = randaugment.OPERATIONS[number]
    for i, image in enumerate(images):
        value = low + (high - low) * float(strength[i])
        want = torch.from_numpy(np.array(PIL_OPERATIONS[number](pil_of(image), value))).permute(2, 0, 1)
        differ = (found[i] - want).abs()
        if number in GEOMETRIC:  # a place between two pixels may go to either
            assert (differ.amax(0) > 0).float().mean() < 0.01
        else:
            assert differ.max() <= 1  # PIL cuts fractions off between its steps
    assert len(randaugment.OPERATIONS) == len(PIL_OPERATIONS)


@pytest.mark.parametrize("number", range(len(PIL_OPERATIONS)))
def test_no_operation_is_another_one(images, number):
    """The comparison above can fail: an operation is far from every other one of the pool but itself."""
    found = without_patch(images, number, torch.full((8,), 0.9))
    for other in range(len(PIL_OPERATIONS)):
        if other != number:
            assert (found - without_patch(images, other, torch.full((8,), 0.9))).abs().mean() > 0.05


def test_the_grey_patch_is_pils_rectangle(images):
    torch.manual_seed(2)
    patch = torch.rand(8, 3)
    draws = randaugment.Draws(torch.full((8, 1), 5), torch.zeros(8, 1), patch)
    found = randaugment.randaugment(images, draws)
    for i, image in enumerate(images):
        want, (width, height) = pil_of(image), (56, 40)
        size, x, y = float(patch[i, 0]) / 2 * width, float(patch[i, 1]) * width, float(patch[i, 2]) * height
        x0, y0 = int(max(0, x - size / 2)), int(max(0, y - size / 2))
        corners = (x0, y0, min(width, x0 + size), min(height, y0 + size))
        ImageDraw.Draw(want).rectangle(corners, (125, 123, 114))
        assert np.array_equal(found[i].permute(1, 2, 0).numpy(), np.array(want))


def test_operations_follow_one_another(images):
    draws = randaugment.Draws(
        torch.tensor([[11, 6]] * 8), torch.full((8, 2), 0.5), torch.tensor([[0.0, 1.0, 1.0]] * 8)
    )
    one = without_patch(images, 11, torch.full((8,), 0.5))
    want = without_patch(one, 6, torch.full((8,), 0.5))
    assert torch.equal(randaugment.randaugment(images, draws), want)


def test_draws_are_uniform():
    torch.manual_seed(0)
    draws = randaugment.draw(7000)
    assert draws.operation.shape == (7000, 2)
    counts = draws.operation.flatten().bincount(minlength=14)
    assert ((counts - 1000).abs() < 130).all()
    assert float(draws.strength.mean()) == pytest.approx(0.5, abs=0.01)


# --- by name ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", AUGMENTS)
def test_every_kind_repeats_after_a_seed_and_keeps_shape_and_range(images, kind):
    square = images[:, :, :, :40]

    def run(seed):
        torch.manual_seed(seed)
        return augment_images(square, kind)

    first = run(5)
    assert torch.equal(first, run(5))
    assert torch.equal(first, square) == (kind == "none")
    assert torch.equal(run(5), run(6)) == (kind == "none")
    assert first.shape == square.shape
    assert first.min() >= 0
    assert first.max() <= 255 + 1e-3


@pytest.mark.parametrize("kind", AUGMENTS)
def test_whole_numbers_of_eight_bits_are_taken_as_well(images, kind):
    square = images[:, :, :, :40]
    torch.manual_seed(0)
    want = augment_images(square, kind)
    torch.manual_seed(0)
    assert torch.equal(augment_images(square.to(torch.uint8), kind).float(), want.float())


@pytest.mark.slow
def test_domainbed_is_torchvisions_pipeline_in_distribution(images):
    """Mean and spread of the results agree with torchvision's own pipeline, image by image."""
    pipeline = v2.Compose(
        [
            v2.RandomResizedCrop((40, 40), scale=(0.7, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.3, 0.3, 0.3, 0.3),
            v2.RandomGrayscale(),
        ]
    )
    torch.manual_seed(0)
    count = 1500
    image = images[0, :, :, :40]
    found = augment_images(image.expand(count, -1, -1, -1), "domainbed")
    want = torch.stack([pipeline(image / 255) for _ in range(count)]) * 255
    for statistic in (
        partial(torch.mean, dim=(1, 2, 3)),
        partial(torch.std, dim=(1, 2, 3)),
        lambda x: (x.amax(1) - x.amin(1)).mean(dim=(1, 2)),
        lambda x: x[:, 0, 3, 3] - x[:, 0, 3, -4],
    ):
        assert ks_2samp(statistic(found), statistic(want)).pvalue > 1e-3
    drained = ((found.amax(1) - found.amin(1)).amax(dim=(1, 2)) < 1e-3).float().mean()
    assert abs(float(drained) - 0.1) < 4 * math.sqrt(0.09 / count)


def test_wilds_weak_mirrors_half_of_the_images_left_right():
    torch.manual_seed(0)
    image = torch.arange(12.0).view(1, 1, 3, 4).expand(2000, -1, -1, -1)
    found = augment_images(image, "wilds_weak")
    mirrored = (found == image.flip(-1)).flatten(1).all(1)
    assert (mirrored | (found == image).flatten(1).all(1)).all()
    assert abs(int(mirrored.sum()) - 1000) < 110


@pytest.mark.parametrize("kind", AUGMENTS)
def test_places_are_never_touched(images, kind):
    batch = {
        "image": augment_images(images[:, :, :, :40], kind),
        "label": torch.arange(8),
        "lon": torch.linspace(-180, 180, 8, dtype=torch.float64),
        "lat": torch.linspace(-90, 90, 8, dtype=torch.float64),
        "domain": torch.zeros(8, dtype=torch.int64),
        "index": torch.arange(8),
    }
    found = to_batch(batch, torch.zeros(3), torch.ones(3))
    assert torch.equal(found.lonlat, torch.stack([batch["lon"], batch["lat"]], 1))


def test_changes_of_colour_need_colours():
    check_augment("flips_rotations", 13, (0.0, 10_000.0))
    check_augment("domainbed", 3, (0.0, 255.0))
    with pytest.raises(ConfigError, match=r"domainbed changes colours .* these images have 13 of 0\.\.10000"):
        check_augment("domainbed", 13, (0.0, 10_000.0))
    with pytest.raises(ConfigError, match="wilds_randaugment changes colours"):
        check_augment("wilds_randaugment", 3, (0.0, 3000.0))
