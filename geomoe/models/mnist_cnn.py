"""DomainBed's small network for 28-pixel digits, with the interface of a timm model."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from geomoe.errors import ConfigError, InputError

MNIST_CNN = "mnist_cnn"
WIDTH = 128
GROUPS = 8  # groups of every group norm
LEAST = 2  # minimum image size in pixels: the second convolution halves the image


class MnistCnn(nn.Module):
    """Four 3x3 convolutions, each followed by ReLU and group norm; mean over the image; one linear layer.

    DomainBed's MNIST_CNN (domainbed/networks.py at 12ece5f) in structure, order and initialisation; the
    linear layer is the classifier that DomainBed appends.

    Args:
        num_classes: C; 0: no classifier.
        bands: channels of the images.

    Raises:
        ConfigError: no bands, or a negative number of classes.
    """

    num_features = WIDTH

    def __init__(self, num_classes: int, bands: int = 2) -> None:
        super().__init__()
        if bands < 1:
            raise ConfigError(f"bands: expected at least 1; got {bands}")
        self.bands = bands
        self.conv1 = nn.Conv2d(bands, WIDTH // 2, 3, padding=1)
        self.conv2 = nn.Conv2d(WIDTH // 2, WIDTH, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.conv4 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.norm1 = nn.GroupNorm(GROUPS, WIDTH // 2)
        self.norm2 = nn.GroupNorm(GROUPS, WIDTH)
        self.norm3 = nn.GroupNorm(GROUPS, WIDTH)
        self.norm4 = nn.GroupNorm(GROUPS, WIDTH)
        self.feature_info = [{"module": f"norm{stage}"} for stage in (1, 2, 3, 4)]
        self.reset_classifier(num_classes)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier by a newly initialised one; 0: none.

        Raises:
            ConfigError: a negative number of classes.
        """
        if num_classes < 0:
            raise ConfigError(f"num_classes: expected 0 or more; got {num_classes}")
        self.num_classes = num_classes
        self.head = nn.Linear(WIDTH, num_classes) if num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The classifier."""
        return self.head

    def forward_features(self, image: Tensor) -> Tensor:
        """Image (B, bands, H, W) to a map (B, 128, ceil(H / 2), ceil(W / 2)).

        Raises:
            InputError: wrong number of axes or bands, or an image below 2 pixels.
        """
        if image.ndim != 4 or image.shape[1] != self.bands or min(image.shape[2:]) < LEAST:
            wanted = f"(B, {self.bands}, H, W) with H, W from {LEAST}"
            raise InputError(f"image: the network reads {wanted}; got {tuple(image.shape)}")
        image = self.norm1(relu(self.conv1(image)))
        image = self.norm2(relu(self.conv2(image)))
        image = self.norm3(relu(self.conv3(image)))
        return self.norm4(relu(self.conv4(image)))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Map (B, 128, h, w) to features (B, 128), or to logits (B, C)."""
        pooled = features.mean(dim=(2, 3))
        return pooled if pre_logits else self.head(pooled)

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, bands, H, W) to logits (B, C)."""
        return self.forward_head(self.forward_features(image))
