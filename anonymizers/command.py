"""Any external tool that reads one file and writes another."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from pydantic import model_validator

from refbench.anonymizers.base import Anonymizer, Need
from refbench.anonymizers.brain import brain_of, brain_versions
from refbench.anonymizers.external import read_volume, run_to_end, run_tool, write_volume
from refbench.anonymizers.presets import PRESETS, Preset, PresetName
from refbench.errors import DataError
from refbench.plugin import param
from refbench.types import Head

PLACES = ("input", "output", "brain", "mask", "folder")
"""What a command line may name in braces."""

_FILLED = re.compile(r"\$\{(?P<braced>[A-Za-z_]\w*)\}|\$(?P<plain>[A-Za-z_]\w*)|\{(?P<place>\w+)\}")
_VERSION_LINE = re.compile(r"\bver(sion|\.).*\d", re.IGNORECASE)


class Command(Anonymizer):
    """Runs an external tool on the head, without a shell, in a folder of its own.

    The tools that many use are there by name, `preset: mri_deface`; any other is declared by its command line:

        command: "mri_deface {input} $FREESURFER_HOME/average/talairach_mixed_with_skull.gca
                  $FREESURFER_HOME/average/face.gca {output}"

    `{input}` and `{output}` stand for the files, `{brain}` for a brain mask (deepbet's) that is written for the tool,
    `{mask}` for a mask that the tool wants to leave, `{folder}` for the folder with all of them, where the tool runs.
    Variables of the environment are filled in. A tool that is not installed is skipped, and every table says so.
    """

    preset: PresetName | None = param(None, "a well-known tool; the other parameters then change its call")
    command: str = param("", "command line; {input}, {output}, {brain}, {mask} and {folder} stand for paths")
    container: str = param(
        "",
        "what to put before the command line, such as `docker run --rm --init -v {folder}:{folder} -w {folder} IMAGE`"
        " or `apptainer exec --bind {folder} IMAGE.sif`",
    )
    title: str = param("", "what tables call it; the preset's or the program's name if not given")
    input: str = param(
        "", "name of the file the tool reads (.nii.gz, .nii, or .img for Analyze); head.nii.gz if not given"
    )
    output: str = param(
        "",
        "name, or path below the folder, of the file it leaves; * stands for anything; anonymized.nii.gz if not given",
    )
    version_command: str = param("", "prints the tool's version, which is part of the cache key")
    get: str = param("", "how to get the tool, for tables where it is missing")
    minutes: float = param(30.0, "wall time for one head", unit="minutes", gt=0)

    @model_validator(mode="after")
    def _can_be_run(self) -> Command:
        """Refuse what could never work, before anything is run."""
        if (self.preset is None) == (not self.command):
            raise ValueError("give either `preset` or `command`")
        tool = self._tool()
        _check(tool.command, PLACES)
        _check(self.container, ("folder",))
        _check(tool.version_command, ())
        for file in (tool.input, tool.output):
            if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
                raise ValueError(f"{file} must lie below the tool's folder: give a name, or a relative path")
        if "/" in tool.input or not tool.input.endswith((".nii.gz", ".nii", ".img")):
            raise ValueError(f"input is a plain name that ends in .nii.gz, .nii or .img, not {tool.input}")
        if "*" in tool.output and "{output}" in tool.command:
            raise ValueError("{output} cannot be filled in where the output's name holds a *")
        return self

    def label(self, name: str) -> str:
        """The tool's own name; a preset is told from what may be built in under the same name."""
        return self.title or (f"{self.preset} (external)" if self.preset else Path(_program(self.command)).name)

    def needs(self) -> frozenset[Need]:
        """The brain, if the tool wants its mask."""
        return frozenset({"brain"}) if "{brain}" in self._tool().command else frozenset()

    def missing(self) -> str:
        """Say which program or variable this machine lacks, and how to get it."""
        tool = self._tool()
        programs = [_program(self.container)] if self.container else [_program(tool.command), *tool.also]
        for program in programs:
            if shutil.which(program) is None:
                return _with_hint(f"{program} not found on PATH", tool.get)
        unset = _unset(f"{self.container} {tool.command}")
        return _with_hint(f"the environment variable {unset[0]} is not set", tool.get) if unset else ""

    def tool_versions(self) -> Mapping[str, str]:
        """What the version command prints, or nothing where the tool is missing; deepbet's where it is needed."""
        if self.missing():
            return {}
        tool = self._tool()
        versions = brain_versions() if self.needs() else {}
        if tool.version_command:
            name = self.preset or Path(_program(tool.command)).name
            versions |= {name: _version(self.container, tool.version_command)}
        return versions

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head:
        """Write the head, run the tool, read what it left.

        Raises:
            DataError: the tool failed, ran out of time or left no output; the end of what it printed is quoted.
            InvalidOutput: the output cannot be read, or is no volume on the head's grid.
            PluginError: deepbet is not installed, and the tool needs a brain mask.
        """
        tool = self._tool()
        # A container may leave files that only its own user can delete.
        with tempfile.TemporaryDirectory(prefix="refbench-command-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            files = {
                "folder": name,
                "input": str(folder / tool.input),
                "output": str(folder / tool.output),
                "brain": str(folder / f"brain_of_{tool.input}"),
                "mask": str(folder / "mask.nii.gz"),
            }
            write_volume(Path(files["input"]), head)
            if self.needs():
                write_volume(Path(files["brain"]), head.with_voxels(brain_of(head).astype(np.float32)))
            run_tool([*filled(self.container, files), *filled(tool.command, files)], folder, self.minutes)
            return head.with_voxels(read_volume(self._left(folder), head, self.label("")))

    def _tool(self) -> Preset:
        known = PRESETS[self.preset] if self.preset else Preset(self.command)
        return replace(
            known,
            input=self.input or known.input,
            output=self.output or known.output,
            version_command=self.version_command or known.version_command,
            get=self.get or known.get,
        )

    def _left(self, folder: Path) -> Path:
        """The one file that is the output."""
        wanted = self._tool().output
        found = sorted(folder.glob(wanted))
        if not found:
            raise DataError(f"{self.label('')} ended well but left no {wanted}")
        if len(found) > 1:
            names = ", ".join(file.name for file in found)
            raise DataError(f"{self.label('')} left more than one {wanted}: {names}. Give `output` a narrower name.")
        return found[0]


def filled(line: str, files: Mapping[str, str]) -> list[str]:
    """The words of a command line with paths and variables filled in.

    The line is split first: whatever a path or a variable holds stays one word. A variable that is not set stays as
    it is written.

    Args:
        line: with a shell's quotes.
        files: by the names that stand in braces.
    """

    def fill(found: re.Match[str]) -> str:
        if found["place"]:
            return files[found["place"]]
        return os.environ.get(found["braced"] or found["plain"], found[0])

    return [_FILLED.sub(fill, word) for word in shlex.split(line)]


def _program(line: str) -> str:
    """The first word of a command line."""
    return filled(line, dict.fromkeys(PLACES, ""))[0]


def _check(line: str, known: tuple[str, ...]) -> None:
    """Refuse a command line that cannot be split or names what nothing stands for."""
    try:
        words = shlex.split(line)
    except ValueError as problem:
        raise ValueError(f"the command line cannot be split into words ({problem}): {line}") from problem
    if line and not words:
        raise ValueError("the command line names no program")
    for found in _FILLED.finditer(line):
        if found["place"] and found["place"] not in known:
            raise ValueError(f"nothing stands for {found[0]} here; known: {', '.join(known) or 'none'}")


def _unset(line: str) -> list[str]:
    """Variables of the environment that a command line names and nobody has set."""
    named = [found["braced"] or found["plain"] for found in _FILLED.finditer(line) if not found["place"]]
    return [name for name in named if name not in os.environ]


def _with_hint(lack: str, get: str) -> str:
    return f"{lack}; {get}" if get else lack


def _version(container: str, command: str) -> str:
    """The line of a program's output that says its version, or why there is none."""
    unset = _unset(f"{container} {command}")
    if unset:
        return f"unknown ({unset[0]} is not set)"
    with tempfile.TemporaryDirectory(prefix="refbench-version-", ignore_cleanup_errors=True) as name:
        try:
            code, text = run_to_end([*filled(container, {"folder": name}), *filled(command, {})], Path(name), minutes=1)
        except DataError as problem:
            return f"unknown ({problem})"
    lines = [line for line in text.splitlines() if line.strip(" -#=*")]
    told = [line for line in lines if _VERSION_LINE.search(line)]
    # Some end badly when they are asked nothing, and say their version all the same.
    if code != 0 and not told:
        return f"unknown (exit code {code})"
    told = told or [line for line in lines if re.search(r"\d", line)] or lines
    return told[0].strip(" -#=*")[:200] if told else "unknown (nothing was printed)"
