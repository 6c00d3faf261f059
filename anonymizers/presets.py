"""Anonymizers that others publish, as their users have them: how each is called, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PresetName = Literal[
    "afni_deface",
    "afni_reface",
    "afni_reface_plus",
    "fsl_deface",
    "mask_face",
    "mideface",
    "mri_deface",
    "mri_reface",
    "pydeface",
    "quickshear",
]


@dataclass(frozen=True)
class Preset:
    """One external tool.

    Attributes:
        command, input, output, version_command, get: as the parameters of `refbench.anonymizers.command.Command`.
        also: other programs that it starts.
    """

    command: str
    input: str = "head.nii.gz"
    output: str = "anonymized.nii.gz"
    version_command: str = ""
    get: str = ""
    also: tuple[str, ...] = ()


def _afni(kind: str) -> Preset:
    """One run makes all three outputs, whichever is wanted; the prefix must have no folder and no suffix."""
    return Preset(
        "@afni_refacer_run -input {input} -mode_all -no_images -prefix anonymized",
        output=f"anonymized.{kind}.nii.gz",
        version_command="afni -ver",
        get="part of AFNI (afni.nimh.nih.gov)",
    )


PRESETS: dict[PresetName, Preset] = {
    "afni_deface": _afni("deface"),
    "afni_reface": _afni("reface"),
    "afni_reface_plus": _afni("reface_plus"),
    "fsl_deface": Preset(
        "fsl_deface {input} {output} -d {mask}",
        version_command="cat $FSLDIR/etc/fslversion",
        get="part of FSL 6.0.1 or newer (fsl.fmrib.ox.ac.uk)",
    ),
    # It works in the folder it stands in, and wants the name without its ending.
    "mask_face": Preset(
        "mask_face head -a",
        input="head.img",
        output="maskface/head_full_normfilter.img",
        version_command="mask_face",
        get="from github.com/mmilch01/mask_face; needs FSL and MATLAB",
        also=("flirt", "matlab"),
    ),
    "mideface": Preset(
        "mideface --i {input} --o {output} --facemask {mask}",
        version_command="mri_info --version",
        get="part of FreeSurfer 7.3 or newer (surfer.nmr.mgh.harvard.edu)",
    ),
    "mri_deface": Preset(
        "mri_deface {input} $FREESURFER_HOME/average/talairach_mixed_with_skull.gca"
        " $FREESURFER_HOME/average/face.gca {output}",
        version_command="mri_deface --version",
        get="part of FreeSurfer (surfer.nmr.mgh.harvard.edu), its two atlases belong in $FREESURFER_HOME/average",
    ),
    # It names its output after its input, and reads the type of the image off the name unless told.
    "mri_reface": Preset(
        "run_mri_reface.sh {input} {folder} -imType T1",
        input="head.nii",
        output="*_deFaced.nii",
        version_command="run_mri_reface.sh",
        get="from nitrc.org/projects/mri_reface; needs the MATLAB runtime, ANTs and NiftyReg",
    ),
    "pydeface": Preset(
        "pydeface {input} --outfile {output} --force",
        version_command="pydeface --help",
        get="pip install pydeface; needs FSL (fsl.fmrib.ox.ac.uk)",
        also=("fsl", "flirt"),
    ),
    "quickshear": Preset(
        "quickshear {input} {brain} {output}",
        version_command='python3 -c "import quickshear; print(quickshear.__version__)"',
        get="pip install quickshear",
    ),
}
