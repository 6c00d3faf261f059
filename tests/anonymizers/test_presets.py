"""The tools known by name, through stand-ins that read, write and fail as each of them does."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from refbench.anonymizers.command import Command
from refbench.anonymizers.presets import PRESETS, PresetName
from refbench.errors import DataError, InvalidOutput
from refbench.types import Head

RNG = np.random.default_rng(0)

SHAVE = """
import array, gzip, os, shutil, struct, sys, time
how = os.environ.get("STAND_IN", "")
if how == "exit": print("no face was found"); sys.exit(3)
if how == "hang": time.sleep(60)

def opened(path, mode):
    return (gzip.open if path.endswith(".gz") else open)(path, mode)

def put(path, data):
    with opened(path, "wb") as file: file.write(data)

def shave(source, target, filling=0.0):
    \"\"\"Fill the front half of a float32 volume; where told so, leave something else.\"\"\"
    if how == "nothing": return
    if how == "garbage": return put(target, b"garbage")
    header_file = source.replace(".img", ".hdr")
    header = bytearray(opened(header_file, "rb").read())
    start = int(struct.unpack_from("<f", header, 108)[0]) if header_file == source else 0
    voxels = array.array("f", opened(source, "rb").read()[start:])
    nx, ny, nz = struct.unpack_from("<3h", header, 42)
    for z in range(nz):
        first, last = (z * ny + ny // 2) * nx, (z + 1) * ny * nx
        voxels[first:last] = array.array("f", [filling]) * (last - first)
    if how == "nan": voxels[0] = float("nan")
    if how == "cut":
        voxels = voxels[: nx * ny * (nz - 1)]
        struct.pack_into("<h", header, 46, nz - 1)
    if how == "turned":
        for row in range(0, len(voxels), nx): voxels[row : row + nx] = voxels[row : row + nx][::-1]
        for at in (280, 296, 312):
            x, y, z, shift = struct.unpack_from("<4f", header, at)
            struct.pack_into("<4f", header, at, -x, y, z, shift + (nx - 1) * x)
    if header_file == source: return put(target, bytes(header[:start]) + voxels.tobytes())
    put(target.replace(".img", ".hdr"), bytes(header))
    put(target, voxels.tobytes())
"""

STAND_INS = {
    "fsl_deface": """
source, target, flag, mask = sys.argv[1:]
assert flag == "-d"
shave(source, target); put(mask, b"mask")
""",
    "@afni_refacer_run": """
assert sys.argv[1] == "-input" and "-mode_all" in sys.argv
prefix = sys.argv[sys.argv.index("-prefix") + 1]
for kind, filling in (("deface", 0), ("reface", 7), ("reface_plus", 8)):
    shave(sys.argv[2], f"{prefix}.{kind}.nii.gz", filling)
""",
    "afni": """
assert sys.argv[1:] == ["-ver"]
print("Precompiled binary linux: Feb  8 2024 (Version AFNI_24.0.04)")
""",
    "mask_face": """
if len(sys.argv) == 1:
    print("MASKFACE_HOME=/opt/maskface1.0\\n####\\n# mask_face, ver. August, 2023\\n####\\nUsage: mask_face ...")
    sys.exit()
root, flag = sys.argv[1:]
assert flag == "-a"
os.mkdir("maskface")
shave(root + ".img", f"maskface/{root}_full_normfilter.img")
""",
    "mideface": """
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
shave(given["--i"], given["--o"]); put(given["--facemask"], b"mask")
""",
    "mri_info": """
assert sys.argv[1:] == ["--version"]
print("mri_info freesurfer 7.4.1")
""",
    "mri_deface": """
if sys.argv[1:] == ["--version"]: print("mri_deface freesurfer 7.4.1"); sys.exit()
source, brain, face, target = sys.argv[1:]
if not (os.path.exists(brain) and os.path.exists(face)): print("could not read atlas"); sys.exit(1)
shave(source, target)
""",
    "run_mri_reface.sh": """
if len(sys.argv) < 3: print("mri_reface: replaces face and ear imagery\\nVersion 0.3.5\\nBy: its author"); sys.exit(65)
source, folder, *options = sys.argv[1:]
assert options == ["-imType", "T1"]
os.makedirs(folder, exist_ok=True)
shave(source, os.path.join(folder, os.path.basename(source).replace(".nii", "_deFaced.nii")))
put(os.path.join(folder, "head_deFaced.png"), b"picture")
""",
    "pydeface": """
print("--------------\\npydeface 2.1.0\\n--------------")
if sys.argv[1:] == ["--help"]: print("usage: pydeface [-h]"); sys.exit()
assert shutil.which("fsl") and "FSLDIR" in os.environ, "FSL must be installed"
source, flag, target, force = sys.argv[1:]
assert (flag, force) == ("--outfile", "--force")
shave(source, target)
""",
    "quickshear": """
source, brain, target = sys.argv[1:]
assert any(gzip.open(brain).read()[352:]), "the brain mask is empty"
shave(source, target)
""",
    "fsl": "",
    "flirt": "",
    "matlab": "",
}

VERSIONS = {
    "afni_deface": "Precompiled binary linux: Feb  8 2024 (Version AFNI_24.0.04)",
    "afni_reface": "Precompiled binary linux: Feb  8 2024 (Version AFNI_24.0.04)",
    "afni_reface_plus": "Precompiled binary linux: Feb  8 2024 (Version AFNI_24.0.04)",
    "fsl_deface": "6.0.7.4",
    "mask_face": "mask_face, ver. August, 2023",
    "mideface": "mri_info freesurfer 7.4.1",
    "mri_deface": "mri_deface freesurfer 7.4.1",
    "mri_reface": "Version 0.3.5",
    "pydeface": "pydeface 2.1.0",
}

FILLINGS = {"afni_reface": 7, "afni_reface_plus": 8}

NAMES = get_args(PresetName)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """A machine that has every tool."""
    folder = tmp_path_factory.mktemp("machine")
    (folder / "bin").mkdir()
    for name, body in STAND_INS.items():
        program = folder / "bin" / name
        program.write_text(f"#!{sys.executable} -IS\n{SHAVE}\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (folder / "average").mkdir()
    for atlas in ("talairach_mixed_with_skull.gca", "face.gca"):
        (folder / "average" / atlas).touch()
    (folder / "etc").mkdir()
    (folder / "etc" / "fslversion").write_text("6.0.7.4\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(folder / "bin"), prepend=":")
        patch.setenv("FREESURFER_HOME", str(folder))
        patch.setenv("FSLDIR", str(folder))
        yield patch


@pytest.fixture(scope="module")
def head() -> Head:
    """Small, and with a brain."""
    voxels = np.random.default_rng(1).normal(50, 100, (9, 10, 11)).astype(np.float32)
    affine = np.diag([2.0, 1.5, 1.0, 1.0])
    affine[:3, 3] = -10, 20, 30
    brain = np.zeros(voxels.shape, dtype=bool)
    brain[3:6, 2:8, 5:9] = True
    return Head(voxels, affine, brain=brain)


def test_every_name_is_a_tool() -> None:
    assert set(PRESETS) == set(NAMES)


# An Analyze file has no orientation that a tool could change.
@pytest.mark.parametrize(
    ("name", "how"), [(name, how) for name in NAMES for how in ("", "turned") if (name, how) != ("mask_face", "turned")]
)
def test_a_tool_known_by_name(
    machine: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch, head: Head, name: PresetName, how: str
) -> None:
    monkeypatch.setenv("STAND_IN", how)
    command = Command(preset=name)
    assert command.missing() == ""
    expected = head.voxels.copy()
    expected[:, 5:] = FILLINGS.get(name, 0)
    np.testing.assert_array_equal(command.anonymize(head, RNG).voxels, expected)


FAILURES = {
    "exit": (DataError, "ended with exit code 3: no face was found"),
    "nothing": (DataError, "ended well but left no"),
    "hang": (DataError, "ran past 0.002 minutes"),
    "garbage": (InvalidOutput, "cannot be read"),
    "cut": (InvalidOutput, "(9, 10, 10), the head has (9, 10, 11)"),
    "nan": (InvalidOutput, "not finite"),
}


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("name", NAMES)
def test_a_tool_known_by_name_that_fails(
    machine: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch, head: Head, name: PresetName, how: str
) -> None:
    monkeypatch.setenv("STAND_IN", how)
    error, message = FAILURES[how]
    with pytest.raises(error) as caught:
        Command(preset=name, minutes=0.002 if how == "hang" else 1).anonymize(head, RNG)
    assert message in str(caught.value)


@pytest.mark.parametrize(("name", "version"), VERSIONS.items())
def test_its_version_is_told(machine: pytest.MonkeyPatch, name: PresetName, version: str) -> None:
    assert Command(preset=name).tool_versions() == {name: version}


@pytest.mark.parametrize("name", NAMES)
def test_where_it_is_not_installed_the_row_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: PresetName
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    command = Command(preset=name)
    program = PRESETS[name].command.split()[0]
    assert command.missing() == f"{program} not found on PATH; {PRESETS[name].get}"
    assert PRESETS[name].get
    assert command.tool_versions() == {}


def test_what_a_tool_starts_must_be_there_too(
    machine: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pydeface").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Command(preset="pydeface").missing().startswith("fsl not found on PATH; pip install pydeface")


@pytest.mark.parametrize("name", NAMES)
def test_tables_tell_it_from_the_built_in_one(name: PresetName) -> None:
    assert Command(preset=name).label("command") == f"{name} (external)"
    assert Command(preset=name, title="ours").label("command") == "ours"


def test_only_quickshear_needs_a_brain() -> None:
    assert [name for name in NAMES if Command(preset=name).needs()] == ["quickshear"]


def test_parameters_change_its_call(machine: pytest.MonkeyPatch, head: Head) -> None:
    command = Command(preset="mri_reface", input="first_T1.nii", output="first_T1_*.nii", get="ask us")
    expected = head.voxels.copy()
    expected[:, 5:] = 0
    np.testing.assert_array_equal(command.anonymize(head, RNG).voxels, expected)
