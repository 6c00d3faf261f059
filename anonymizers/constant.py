"""The other control: nobody is left in the release, so that no attacker may bring anybody back."""

from __future__ import annotations

import numpy as np

from refbench.anonymizers.base import Anonymizer
from refbench.anonymizers.template import template_head
from refbench.types import Head


class Constant(Anonymizer):
    """Control: everybody's release is one and the same head, the face template's, in the middle of the volume.

    It keeps nothing of a person, not even where their head lies. The best that can be made of it is the average face
    of other people, so an attack that brings back more knows the answer from elsewhere.
    """

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head:
        """Put the template's mean head, which is about 180 x 250 x 250 mm, in place of the whole volume."""
        from scipy import ndimage

        template = template_head()
        edges = np.sqrt((template.affine[:3, :3] ** 2).sum(axis=0))
        zoom = head.voxel_mm / edges
        middles = (np.array(head.voxels.shape) - 1) / 2, (np.array(template.voxels.shape) - 1) / 2
        voxels = ndimage.affine_transform(
            template.voxels, zoom, middles[1] - zoom * middles[0], head.voxels.shape, order=1
        )
        return head.with_voxels(np.asarray(voxels, dtype=np.float32))
