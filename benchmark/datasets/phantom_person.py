"""Who a phantom is: a few latent factors of a person, and the shape of head and face derived from them.

Independent draws of every measure make monsters, so eight factors (size, length, width, prognathism, nose, soft tissue,
age, sex) move the measures together and leave small residuals. Means and spreads are rounded estimates of adult
craniofacial measures, checked by eye against the face template and real heads; they are fitted to no population.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Sex = Literal["F", "M"]


@dataclass(frozen=True)
class Face:
    """Measures of one person's head and face; mm unless stated. They never change between sessions.

    Heights are along z, depths along y, widths along x and between both sides. What has 0 as its neutral value (the
    nose's hump, bend and turn up, prognathism, protrusion, slope, soft tissue) may be negative.
    """

    head_length: float
    head_width: float
    head_height: float
    face_height: float
    face_width: float
    jaw_width: float
    prognathism: float
    forehead_slope: float
    brow_ridge: float
    eye_spacing: float
    eye_depth: float
    eyelid_bulge: float
    nose_height: float
    nose_projection: float
    nose_width: float
    nose_bridge_width: float
    nose_bridge_depth: float
    nose_hump: float
    nose_turn_up: float
    nose_bend: float
    upper_lip_height: float
    lip_fullness: float
    lip_protrusion: float
    mouth_width: float
    chin_projection: float
    chin_height: float
    chin_width: float
    cheekbone: float
    cheek_fullness: float
    nasolabial_fold: float
    ear_height: float
    ear_flare_degrees: float
    soft_tissue: float

    @property
    def nasion_z(self) -> float:
        """Root of the nose, mm above the anterior commissure."""
        return -19.0 - 0.04 * (self.face_height - 112)

    @property
    def subnasale_z(self) -> float:
        """Where the nose meets the upper lip."""
        return self.nasion_z - self.nose_height

    @property
    def mouth_z(self) -> float:
        """The line between the lips."""
        return self.subnasale_z - self.upper_lip_height

    @property
    def menton_z(self) -> float:
        """Underside of the chin."""
        return self.nasion_z - self.face_height


@dataclass(frozen=True)
class Person:
    """A phantom: a face, an age in years, a sex, and what the inside of the head needs.

    Attributes:
        skull: thickness of the skull, mm. scalp: skin and fat over it, mm.
        atrophy: 0-1, how far age has widened ventricles and sulci.
        fold_seed: what the pattern of sulci is drawn from.
    """

    face: Face
    age: float
    sex: Sex
    skull: float
    scalp: float
    atrophy: float
    fold_seed: int


def draw_person(seed: int, number: int) -> Person:
    """The person `number` of the cohort `seed`; no other person has a say in the draw."""
    rng = np.random.default_rng([seed, number])
    sex: Sex = "M" if rng.random() < 0.45 else "F"
    age = float(np.clip(rng.normal(48, 16), 20, 86))
    size, length, width, jut, nose, soft, rough = np.clip(rng.normal(size=7), -2, 2)
    male = 1.0 if sex == "M" else -1.0
    old = (age - 48) / 16

    def measure(mean: float, residual: float, *terms: float) -> float:
        return float(mean + sum(terms) + residual * np.clip(rng.normal(), -2, 2))

    face = Face(
        head_length=measure(189, 2.0, 4.0 * size, 3.5 * male, -1.5 * width),
        head_width=measure(152, 1.5, 3.0 * size, 2.0 * male, 2.5 * width),
        head_height=measure(84, 1.0, 1.8 * size, 1.2 * male),
        face_height=measure(113, 1.5, 3.0 * size, 3.5 * length, 3.2 * male),
        face_width=measure(135, 1.5, 2.0 * size, 3.5 * width, 2.5 * male, 1.5 * soft),
        jaw_width=measure(108, 2.0, 2.0 * size, 3.0 * width, 3.0 * male, 2.0 * soft),
        prognathism=measure(0, 0.4, 1.6 * jut),
        forehead_slope=measure(0, 1.5, 1.5 * male),
        brow_ridge=measure(2.5, 0.6, 1.0 * male, 0.4 * rough),
        eye_spacing=measure(63, 1.2, 1.0 * size, 1.2 * width),
        eye_depth=measure(11.0, 0.9, 0.8 * male, 0.6 * rough),
        eyelid_bulge=measure(8.0, 0.8, -0.3 * old),
        nose_height=measure(49, 1.2, 1.0 * size, 1.8 * length, 1.4 * male, 0.8 * old),
        nose_projection=measure(14.5, 0.8, 1.8 * nose, 1.0 * male),
        nose_width=measure(34, 1.2, 1.2 * male, 0.8 * old, 1.0 * width, -0.6 * nose),
        nose_bridge_width=measure(12.5, 1.0, 0.8 * width, 0.5 * male),
        nose_bridge_depth=measure(5.5, 1.1, 1.0 * nose, 0.5 * male),
        nose_hump=measure(0.2, 0.8, 0.8 * nose, 0.3 * male),
        nose_turn_up=measure(0, 1.2, -0.8 * nose, -0.9 * old, -0.5 * male),
        nose_bend=measure(0, 1.0),
        upper_lip_height=measure(21, 0.9, 0.8 * length, 1.0 * male, 0.9 * old),
        lip_fullness=measure(3.6, 0.4, -0.5 * old, 0.4 * soft, 0.2 * jut),
        lip_protrusion=measure(0, 0.6, 0.8 * jut),
        mouth_width=measure(51, 1.8, 1.2 * male, 1.2 * width),
        chin_projection=measure(6.0, 1.2, 0.7 * male, -1.0 * jut),
        chin_height=measure(15, 1.0, 0.8 * length, 0.8 * male),
        chin_width=measure(38, 2.0, 3.0 * male, 1.2 * width),
        cheekbone=measure(3.5, 0.8, -0.5 * soft, 0.6 * rough),
        cheek_fullness=measure(3.5, 0.8, 1.4 * soft, -0.5 * old),
        nasolabial_fold=measure(1.2, 0.3, 0.6 * old),
        ear_height=measure(61, 2.0, 1.8 * male, 1.8 * old, 1.0 * size),
        ear_flare_degrees=measure(26, 5.0),
        soft_tissue=measure(0, 0.2, 1.0 * soft),
    )
    return Person(
        face=face,
        age=round(age, 1),
        sex=sex,
        skull=measure(5.5, 0.5),
        scalp=measure(5.4, 0.4, 0.7 * soft),
        atrophy=float(np.clip((age - 35) / 55 + 0.08 * rng.normal(), 0, 1)),
        fold_seed=int(rng.integers(2**31)),
    )
