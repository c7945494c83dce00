"""What a convolutional network makes of images: its kernels and maps, its features, what a shift does to it, and where
it looks.

All of it is measured on images of the validation split, or of training where there is none; the test split is never
looked at.
"""

from __future__ import annotations

from labrunner.probes.images.embedding import Embedding
from labrunner.probes.images.gradcam import GradCam
from labrunner.probes.images.kernels import Kernels
from labrunner.probes.images.maps import FeatureMaps
from labrunner.probes.images.shift import Shift

__all__ = ["Embedding", "FeatureMaps", "GradCam", "Kernels", "Shift"]
