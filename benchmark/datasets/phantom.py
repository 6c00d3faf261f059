"""The embedded cohort: synthetic T1 heads made from numbers alone, so that everything runs without any data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Literal

import numpy as np

from refbench.datasets.base import Dataset, Scan
from refbench.datasets.phantom_person import draw_person
from refbench.plugin import param
from refbench.types import Head

IXI_SUBJECTS = {"Guys": 322, "HH": 185, "IOP": 74}
GOLDEN_RATIO = 0.6180339887498949

LABELS = ("brain", "face", "skin", "ears", "eyes", "nose", "mouth")


class Phantom(Dataset):
    """Synthetic heads with persistent faces, known labels and three sites that differ as IXI's scanners do.

    Nothing about real people follows from a phantom: it is there to try, test and teach. Every person has a face of
    33 measures derived from a few latent factors; a session changes pose, bias field and noise only. With
    `scanners: varied` every visit is recorded by another protocol around its site's: voxel size, contrast, noise, bias
    and blur differ, some images ring, some people moved, and some fields of view end before the nose, the chin or the
    neck does.

    Labels, all within the head:

    - `brain`: cerebrum, cerebellum and stem with the fluid in their sulci and ventricles.
    - `skin`: the outermost 2.2 mm, or 1.1 voxels where these are larger, of the whole head.
    - `face`: the outermost 6 mm of its front, from 8 mm above the nasion to the chin.
    - `ears`: what stands out from the side of the head.
    - `eyes`: the eyeballs, and the lids before them.
    - `nose`: what stands out before the face between nasion and subnasale, with the nostrils in it.
    - `mouth`: both lips, 8 mm deep.
    """

    real_people: ClassVar[bool] = False

    subjects: int = param(30, "people in the cohort", ge=1, le=9999)
    sessions: int = param(1, "most visits of one person; from 2 on, everybody comes at least twice", ge=1, le=3)
    scale: float = param(0.5, "voxels per side, as a share of the full 150 x 256 x 256", unit="0-1", ge=0.2, le=1)
    seed: int = param(0, "draws another cohort", ge=0)
    scanners: Literal["sites", "varied"] = param(
        "sites", "`sites`: one scanner per site; `varied`: each visit by another protocol, some with artefacts"
    )

    def label_names(self) -> frozenset[str]:
        """All that a phantom knows of itself."""
        return frozenset(LABELS)

    def scans(self) -> list[Scan]:
        """All visits by person and session. Person 17 is the same, at the same site, in a cohort of any size."""
        varied = {} if self.scanners == "sites" else {"scanners": self.scanners}
        scans = []
        for number in range(1, self.subjects + 1):
            person, site = draw_person(self.seed, number), site_of(number)
            visits = 2 + int(np.random.default_rng([self.seed, number, 0]).integers(3) == 2)
            for session in range(1, min(self.sessions, visits) + 1):
                recipe = {"seed": self.seed, "person": number, "session": session, "site": site, "scale": self.scale}
                facts: dict[str, str | float] = {"age": person.age, "sex": person.sex}
                scans.append(Scan(f"P{number:03d}", site, str(session), recipe=recipe | varied, facts=facts))
        return scans

    def load(self, scan: Scan) -> Head:
        """Make one head: RAS+ order, float32, not negative, with all labels."""
        from refbench.datasets.phantom_scan import make_head

        return make_head(scan.recipe)


def site_of(number: int) -> str:
    """The site of person `number` (from 1): a golden-ratio sequence, so that any run of people has IXI's mixture."""
    draw = (number * GOLDEN_RATIO) % 1 * sum(IXI_SUBJECTS.values())
    for site, count in IXI_SUBJECTS.items():
        draw -= count
        if draw < 0:
            return site
    return site


def face_parameters(recipe: Mapping[str, Any]) -> dict[str, float]:
    """The true measures of the face behind a recipe, by name: mm unless the name says degrees."""
    return asdict(draw_person(recipe["seed"], recipe["person"]).face)
