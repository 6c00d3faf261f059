"""Virtual people made from a few real heads."""

from __future__ import annotations

from pathlib import Path

from refbench.datasets.base import Dataset, Scan
from refbench.datasets.files import find_files, name_without_extension
from refbench.plugin import param
from refbench.types import Head

PEOPLE_PER_SITE = 4  # fewer cannot be spread over the three parts of a split


class Morphed(Dataset):
    """A cohort of people who do not exist: real heads with faces deformed at random.

    Intensities are a scanner's, identities are known exactly, and a person has the same face in every session and in
    cohorts of every size. Faces differ in width, depth, length and in smooth bumps from the size of a jaw to that of a
    lip; brain, ears and neck stay in place, and the volume grows to the front where a larger nose would not fit. Every
    session has a pose (about 1.5 degrees, 1.5 mm) and Rician noise (1 %) of its own. See `refbench.datasets.morphing`.

    Person n is made from source head n, n + heads, ... in order of names. People of one source share its brain, its
    noise and the texture of its skin, and so are more alike than strangers: an attack looks stronger here than on as
    many real people. Source heads are the sites, so that splits spread them evenly and a transfer between sites asks
    for an unseen source; with fewer than 4 people to a source there is one site, `morphed`.

    Relative paths start at the folder of the suite file, or in Python at the current folder.
    """

    path: Path = param(..., "folder that holds the source heads")
    glob: str = param("*.nii*", "which files are source heads; `**/` looks into subfolders", min_length=1)
    people: int = param(12, "how many people to make", ge=1, le=999)
    sessions: int = param(1, "how often each person comes", ge=1)
    strength_mm: float = param(
        3.0, "standard deviation over people of where a point of the face is, along each axis", unit="mm", ge=0, le=8
    )
    voxel_mm: float | None = param(
        None, "edge length of voxels; those of the source if not given", unit="mm", ge=0.5, le=4
    )
    seed: int = param(0, "another seed makes other people", ge=0)

    def scans(self) -> list[Scan]:
        """One scan per person and session, by number of person.

        Raises:
            DataError: missing folder, or no file that fits.
        """
        sources = find_files(self.path, self.glob)
        source_is_site = self.people >= PEOPLE_PER_SITE * len(sources)
        return [
            self._scan(person, session, source, name_without_extension(source) if source_is_site else "morphed")
            for person in range(1, self.people + 1)
            for session in range(1, self.sessions + 1)
            for source in [sources[(person - 1) % len(sources)]]
        ]

    def _scan(self, person: int, session: int, source: Path, site: str) -> Scan:
        recipe = {
            "person": person,
            "session": session,
            "seed": self.seed,
            "strength_mm": self.strength_mm,
            "voxel_mm": self.voxel_mm,
        }
        return Scan(f"M{person:03}", site, str(session), (source,), recipe)

    def load(self, scan: Scan) -> Head:
        """Read the source head and make the person; intensities keep the source's scale.

        Raises:
            DataError: the source cannot be a head.
        """
        import numpy as np

        from refbench.datasets.morphing import Face, Landmarks, morph
        from refbench.datasets.nifti import read_head

        recipe = scan.recipe
        source = read_head(scan.files[0], subject=scan.subject, session=scan.session, site=scan.site)
        landmarks = Landmarks.of(source)
        # 0 is the face; sessions count from 1
        identity, visit = (
            np.random.default_rng([recipe["seed"], recipe["person"], use]) for use in (0, recipe["session"])
        )
        face = Face.random(landmarks, recipe["strength_mm"], identity)
        return morph(source, face, landmarks, visit, recipe["voxel_mm"])
