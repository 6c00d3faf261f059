"""External tools, through stand-in programs that behave, and misbehave, as real ones do."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from refbench.anonymizers.command import PLACES, Command, filled
from refbench.anonymizers.external import read_volume, run_tool, write_volume
from refbench.errors import DataError, InvalidOutput
from refbench.types import Head

RNG = np.random.default_rng(0)

MakeTool = Callable[[str, str], Path]


@pytest.fixture
def head() -> Head:
    """An oblique, anisotropic one without any symmetry."""
    voxels = np.random.default_rng(1).normal(50, 100, (9, 10, 11)).astype(np.float32)
    angle = np.radians(20)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3] = np.c_[turn * [2.0, 1.5, 1.0], [-10, 20, 30]]
    brain = np.zeros(voxels.shape, dtype=bool)
    brain[3:6, 2:8, 5:9] = True
    return Head(voxels, affine, brain=brain)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeTool:
    """Make a program of that name and body, found on PATH."""
    (tmp_path / "bin").mkdir()

    def make(name: str, body: str) -> Path:
        program = tmp_path / "bin" / name
        program.write_text(f"#!{sys.executable} -IS\nimport os, sys, time\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return program

    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return make


COPY = "open(sys.argv[2], 'wb').write(open(sys.argv[1], 'rb').read())"


@pytest.mark.parametrize("name", ["head.nii.gz", "head.nii"])
def test_what_a_tool_copies_comes_back_bit_by_bit(head: Head, tool: MakeTool, name: str) -> None:
    tool("copy", COPY)
    before = head.voxels.copy()
    released = Command(command="copy {input} {output}", input=name, output=f"out_{name}").anonymize(head, RNG)
    np.testing.assert_array_equal(released.voxels, before)
    np.testing.assert_array_equal(head.voxels, before)
    assert released.affine is head.affine
    assert released.voxels.dtype == np.float32


def test_analyze_is_written_as_its_readers_take_it(head: Head, tool: MakeTool, tmp_path: Path) -> None:
    tool("mask", "os.mkdir('out'); [open('out/b' + e, 'wb').write(open(sys.argv[1] + e, 'rb').read())"
         " for e in ('.img', '.hdr')]")  # fmt: skip
    command = Command(command="mask head", input="head.img", output="out/b.img")
    np.testing.assert_array_equal(command.anonymize(head, RNG).voxels, head.voxels)
    write_volume(tmp_path / "seen.img", head)
    seen = nibabel.load(tmp_path / "seen.img")
    np.testing.assert_allclose(seen.header.get_zooms(), head.voxel_mm, rtol=1e-6)
    assert nibabel.aff2axcodes(seen.affine) == ("L", "A", "S")


@pytest.mark.parametrize("codes", ["RAS", "LPI", "PSR", "IRA", "ASL"])
@pytest.mark.parametrize("kind", ["f8", "i2", "u1"])
def test_axes_in_another_order_are_brought_back(head: Head, tmp_path: Path, codes: str, kind: str) -> None:
    whole = head.with_voxels(np.round(np.clip(head.voxels, 0, 200)))
    image = nibabel.Nifti1Image(whole.voxels.astype(kind)[..., None], head.affine)
    here = nibabel.io_orientation(head.affine)
    there = nibabel.orientations.ornt_transform(here, nibabel.orientations.axcodes2ornt(codes))
    image.as_reoriented(there).to_filename(tmp_path / "turned.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "turned.nii.gz", whole, "tool"), whole.voxels)


@pytest.mark.parametrize("kind", ["i2", "f4", "f8"])
def test_rounding_is_no_change(head: Head, tmp_path: Path, kind: str) -> None:
    voxels = head.voxels * np.float32(1 - 1e-7)
    voxels[:, 5:] += 10
    image = nibabel.Nifti1Image(voxels, head.affine)
    image.set_data_dtype(kind)
    image.to_filename(tmp_path / "out.nii")
    released = read_volume(tmp_path / "out.nii", head, "tool")
    np.testing.assert_array_equal(released[:, :5], head.voxels[:, :5])
    np.testing.assert_allclose(released[:, 5:], head.voxels[:, 5:] + 10, atol=0.25)


def test_a_file_without_orientation_is_taken_as_it_was_written(head: Head, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(head.voxels, None)
    image.header["sform_code"] = image.header["qform_code"] = 0
    image.to_filename(tmp_path / "bare.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "bare.nii", head, "tool"), head.voxels)


def moved(affine: np.ndarray, mm: float) -> np.ndarray:
    result = affine.copy()
    result[0, 3] += mm
    return result


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v, a: (v[:-1], a), "(8, 10, 11), the head has (9, 10, 11)"),
        (lambda v, a: (np.stack([v, v], axis=-1), a), "(9, 10, 11, 2)"),
        (lambda v, a: (v[0], a), "(10, 11)"),
        (lambda v, a: (v, moved(a, 1.0)), "another grid: its corners lie up to 1 mm away"),
        (lambda v, a: (v, np.eye(4)), "another grid"),
        (lambda v, a: (v, np.diag([0.0, 1, 1, 1])), "no affine of a volume"),
        (lambda v, a: (np.where(v > 250, np.nan, v), a), "not finite"),
        (lambda v, a: (np.where(v > 250, np.inf, v), a), "not finite"),
    ],
)
def test_another_volume_is_refused(head: Head, tmp_path: Path, change, message: str) -> None:
    voxels, affine = change(head.voxels, head.affine)
    image = nibabel.Nifti1Image(voxels, None)
    image.set_sform(affine, code="scanner")
    image.to_filename(tmp_path / "out.nii")
    with pytest.raises(InvalidOutput) as caught:
        read_volume(tmp_path / "out.nii", head, "tool")
    assert message in str(caught.value)


def test_the_rounding_of_a_header_is_no_other_grid(head: Head, tmp_path: Path) -> None:
    nibabel.Nifti1Image(head.voxels, moved(head.affine, 0.01)).to_filename(tmp_path / "out.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "out.nii", head, "tool"), head.voxels)


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ("print('no face found'); sys.exit(4)", DataError, "exit code 4: no face found"),
        ("os.kill(os.getpid(), 11)", DataError, "exit code -11: it printed nothing"),
        ("pass", DataError, "bad ended well but left no anonymized.nii.gz"),
        ("open(sys.argv[2], 'w').write('garbage')", InvalidOutput, "what bad left cannot be read"),
        ("open(sys.argv[2], 'wb').write(open(sys.argv[1], 'rb').read()[:600])", InvalidOutput, "cannot be read"),
        ("print('thinking', flush=True); time.sleep(60)", DataError, "ran past 0.01 minutes: thinking"),
    ],
)
def test_a_tool_that_fails_is_quoted(
    head: Head, tool: MakeTool, body: str, error: type[Exception], message: str
) -> None:
    tool("bad", body)
    with pytest.raises(error) as caught:
        Command(command="bad {input} {output}", minutes=0.01).anonymize(head, RNG)
    assert message in str(caught.value)


def dead(process_id: int) -> bool:
    """Whether a process is gone, soon."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


FAMILY = """
child = os.fork()
if child == 0:
    if os.fork() == 0:
        open(sys.argv[1], 'w').write(str(os.getpid()))
    {deaf}
    time.sleep(60)
while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read(): time.sleep(0.01)
"""


@pytest.mark.parametrize("deaf", ["pass", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"])
def test_nothing_outlives_a_tool_that_hangs(tool: MakeTool, tmp_path: Path, deaf: str) -> None:
    tool("hang", FAMILY.format(deaf=deaf) + "time.sleep(60)")
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    with pytest.raises(DataError, match="ran past"):
        run_tool(["hang", str(pid_file)], tmp_path, minutes=0.02)
    assert time.monotonic() - started < 10
    assert dead(int(pid_file.read_text()))


def test_nothing_outlives_a_tool_that_ended(tool: MakeTool, tmp_path: Path) -> None:
    tool("leave", FAMILY.format(deaf="pass") + "print('done')")
    assert run_tool(["leave", str(tmp_path / "pid")], tmp_path, minutes=0.5) == "done\n"
    assert dead(int((tmp_path / "pid").read_text()))


def test_nothing_outlives_the_process_that_ran_the_tool(tool: MakeTool, tmp_path: Path) -> None:
    tool("hang", FAMILY.format(deaf="pass") + "time.sleep(60)")
    pid_file = tmp_path / "pid"
    call = f"run_tool(['hang', {str(pid_file)!r}], Path({str(tmp_path)!r}), 1)"
    code = f"from pathlib import Path; from refbench.anonymizers.external import run_tool; {call}"
    ours = subprocess.Popen([sys.executable, "-c", code])
    while not pid_file.exists() or not pid_file.read_text():
        assert ours.poll() is None
        time.sleep(0.05)
    ours.send_signal(signal.SIGKILL)
    ours.wait()
    assert dead(int(pid_file.read_text()))


def test_a_brain_mask_is_written_only_for_a_tool_that_wants_it(head: Head, tool: MakeTool) -> None:
    tool("list", "print(sorted(os.listdir('.'))); sys.exit(1)")
    with pytest.raises(DataError, match=r"\['head\.nii\.gz'\]"):
        Command(command="list").anonymize(head, RNG)
    tool("take", "open(sys.argv[2], 'wb').write(open(sys.argv[1], 'rb').read())")
    command = Command(command="take {brain} {output}")
    assert command.needs() == {"brain"}
    assert head.brain is not None
    np.testing.assert_array_equal(command.anonymize(head, RNG).voxels, head.brain)
    assert "deepbet" in command.tool_versions()
    assert Command(command="take {input}").needs() == frozenset()


def test_a_star_finds_the_output_whatever_the_tool_calls_it(head: Head, tool: MakeTool) -> None:
    tool("name", "os.mkdir('out'); [open(f'out/{n}_done.nii.gz', 'wb').write(open(sys.argv[1], 'rb').read())"
         " for n in sys.argv[2:]]")  # fmt: skip
    command = Command(command="name {input} anything", output="out/*_done.nii.gz")
    np.testing.assert_array_equal(command.anonymize(head, RNG).voxels, head.voxels)
    with pytest.raises(DataError, match=r"more than one out/\*_done\.nii\.gz: a_done\.nii\.gz, b_done\.nii\.gz"):
        Command(command="name {input} a b", output="out/*_done.nii.gz").anonymize(head, RNG)


def test_a_container_stands_before_the_command(head: Head, tool: MakeTool) -> None:
    tool("docker", "assert sys.argv[1:4] == ['run', '-v', os.getcwd() + ':' + os.getcwd()], sys.argv;"
         "os.execvp(sys.argv[5], sys.argv[5:])")  # fmt: skip
    tool("copy", f"{COPY} if len(sys.argv) == 3 else print('copy version 3')")
    command = Command(command="copy {input} {output}", container="docker run -v {folder}:{folder} image",
                      version_command="copy --version")  # fmt: skip
    np.testing.assert_array_equal(command.anonymize(head, RNG).voxels, head.voxels)
    assert command.tool_versions() == {"copy": "copy version 3"}
    assert command.label("command") == "copy"


def test_in_a_container_only_its_program_must_be_here() -> None:
    assert Command(command="cat nowhere_to_be_found", container="sh -c").missing() == ""
    command = Command(command="cat {input}", container="nodocker run image", get="ask its authors")
    assert command.missing() == "nodocker not found on PATH; ask its authors"


def test_no_shell_reads_the_command(head: Head, tool: MakeTool, tmp_path: Path) -> None:
    tool("copy", COPY)
    Command(command=f"copy {{input}} {{output}} ; touch {tmp_path}/owned").anonymize(head, RNG)
    assert not (tmp_path / "owned").exists()


ANY_PATH = st.text(alphabet=" '\"\\;|&$(){}<>*?\n\tab/~#!inputHOME", max_size=20)
PLACE_OR_WORD = st.sampled_from([*(f"{{{name}}}" for name in PLACES), "-o", "'two words'", "--mask={mask}"])


@given(st.fixed_dictionaries(dict.fromkeys(PLACES, ANY_PATH)), st.lists(PLACE_OR_WORD, max_size=8))
def test_no_path_ever_breaks_a_word(files: dict[str, str], words: list[str]) -> None:
    expected = [word.strip("'").replace("{mask}", files["mask"]) if "{mask}" in word
                else files.get(word[1:-1], word.strip("'")) for word in words]  # fmt: skip
    assert filled(" ".join(words), files) == expected


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_no_variable_ever_breaks_a_word(value: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFBENCH_TEST", value)
        assert filled("a $REFBENCH_TEST/b.gca ${REFBENCH_TEST} c", {}) == ["a", f"{value}/b.gca", value, "c"]


def test_a_path_with_blanks_reaches_the_tool_whole(
    head: Head, tool: MakeTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool("copy", COPY)
    (tmp_path / "a folder; with 'quotes'").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a folder; with 'quotes'"))
    command = Command(command="copy {input} {output}", input="the head.nii.gz")
    np.testing.assert_array_equal(command.anonymize(head, RNG).voxels, head.voxels)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "give either `preset` or `command`"),
        ({"preset": "pydeface", "command": "pydeface {input}"}, "give either `preset` or `command`"),
        ({"preset": "pydefaced"}, "'pydeface'"),
        ({"command": "  "}, "names no program"),
        ({"command": "tool 'one"}, "cannot be split into words"),
        ({"command": "tool {inptu}"}, "nothing stands for {inptu} here; known: input, output, brain, mask, folder"),
        ({"command": "tool", "container": "docker run {input}"}, "nothing stands for {input} here; known: folder"),
        ({"command": "tool", "output": "../here.nii"}, "must lie below"),
        ({"command": "tool", "output": "/here.nii"}, "must lie below"),
        ({"command": "tool", "input": "in/head.nii"}, "plain name"),
        ({"command": "tool", "input": "head.mgz"}, "plain name"),
        ({"command": "tool {output}", "output": "*.nii"}, "cannot be filled in"),
    ],
)
def test_a_call_that_could_never_work_is_refused_at_once(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Command(**parameters)
    assert message in str(caught.value)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FREESURFER_HOME", raising=False)
    assert Command(command="mri_nowhere {input}").missing() == "mri_nowhere not found on PATH"
    assert Command(command="cat ${FREESURFER_HOME}/face.gca").missing() == (
        "the environment variable FREESURFER_HOME is not set"
    )
    monkeypatch.setenv("FREESURFER_HOME", os.sep)
    assert Command(command="cat $FREESURFER_HOME/face.gca").missing() == ""


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ("print('tool 1.2.3')", "tool 1.2.3"),
        ("print('-------\\ntool 1.2.3\\n-------\\nusage: tool [-h]')", "tool 1.2.3"),
        ("print('HOME=/opt/tool-9\\n# tool, ver. May 2023\\nUsage: ...')", "tool, ver. May 2023"),
        ("print('Version 0.3.5', file=sys.stderr); sys.exit(65)", "Version 0.3.5"),
        ("print('tool: 1 argument is missing'); sys.exit(2)", "unknown (exit code 2)"),
        ("pass", "unknown (nothing was printed)"),
    ],
)
def test_the_version_of_the_tool_is_part_of_its_identity(tool: MakeTool, body: str, version: str) -> None:
    tool("versioned", body)
    command = Command(command="versioned {input}", version_command="versioned --version")
    assert command.tool_versions() == {"versioned": version}


def test_parameters_survive_being_written_down() -> None:
    command = Command(preset="mri_deface", minutes=5)
    again = Command.model_validate(command.model_dump(mode="json"))
    assert again == command
    assert again.label("command") == "mri_deface (external)"
