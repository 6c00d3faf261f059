"""What shells offer after the tab key, asked as bash and zsh ask: through the environment of the real command."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HEAVY = ("torch", "pandas", "scipy", "nibabel", "matplotlib", "pyarrow", "skimage")


@dataclass(frozen=True)
class Shell:
    """A folder with suites, a store with two finished runs, and `refbench` as pip installs it."""

    folder: Path

    def environment(self) -> dict[str, str]:
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.folder), "REFBENCH_STORE": str(self.folder / "store")}

    def run(self, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment() | environment, capture_output=True, text=True, timeout=60
        )

    def bash(self, line: str, **environment: str) -> list[str]:
        """What completes the last word of a line; a blank at its end begins a new word."""
        words = line.split(" ")
        told = {
            "COMP_WORDS": "\n".join(words),
            "COMP_CWORD": str(len(words) - 1),
            "_REFBENCH_COMPLETE": "complete_bash",
        }
        done = self.run(["refbench"], **told, **environment)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.split()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    script = tmp_path / "bin" / "refbench"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nfrom refbench.cli import main\nmain()\n")
    script.chmod(0o755)
    (tmp_path / "mine.yaml").write_text("")
    for age, (name, sites) in enumerate({"ours-22222222": "AB", "demo-11111111": "CD"}.items()):
        run = tmp_path / "store" / "runs" / name
        run.mkdir(parents=True)
        (run / "split.csv").write_text("subject,site,part,note\n" + "".join(f"s{s},{s},train,\n" for s in sites))
        (run / "run.json").write_text("{}")
        os.utime(run / "run.json", (1000 + age, 1000 + age))
    return Shell(tmp_path)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("refbench run m", ["morphed", "mine.yaml"]),
        ("refbench run suites/", []),  # then bash offers files by itself
        ("refbench leaderboard ", ["demo-11111111", "ours-22222222"]),
        ("refbench compare ours-22222222 d", ["demo-11111111"]),
        ("refbench leaderboard --region ", ["front_half", "whole", "face", "changed"]),
        ("refbench leaderboard --metric ", ["correlation", "ssim"]),
        ("refbench leaderboard --site ", ["A", "B", "C", "D"]),
        ("refbench leaderboard --store nowhere --site ", []),
        ("refbench plot --store nowhere ", []),
        ("refbench differences --format m", ["markdown"]),
        ("refbench compare --format ", ["table", "markdown", "json"]),
        ("refbench list a", ["anonymizer", "attacker"]),
        ("refbench list attackers c", ["cyclegan"]),
        ("refbench list head", ["head_metric"]),
        ("refbench check head_metric u", ["utility"]),
        ("refbench check metric s", ["ssim"]),
        ("refbench anonymize in out --with blu", ["blur"]),
        ("refbench data verify --dataset i", ["ixi"]),
        ("refbench gate mine.yaml --base", ["--baseline"]),
        ("refbench gate mine.yaml --baseline b", []),
    ],
)
def test_bash_is_offered_what_the_argument_takes(shell: Shell, line: str, offered: list[str]) -> None:
    assert shell.bash(line) == offered


def test_a_run_without_a_table_takes_no_site_from_the_others(shell: Shell) -> None:
    (shell.folder / "store/runs/demo-11111111/split.csv").unlink()
    assert shell.bash("refbench leaderboard --site ") == ["A", "B"]


def test_bash_itself_completes_with_the_script_that_is_installed(shell: Shell) -> None:
    script = shell.run(["refbench"], _REFBENCH_COMPLETE="source_bash").stdout
    asked = 'COMP_WORDS=(refbench run dem); COMP_CWORD=2; _refbench_completion refbench; echo "${COMPREPLY[@]}"'
    done = shell.run(["bash", "--norc", "-c", f"{script}\n{asked}\ncomplete -p refbench"])
    assert done.stdout.split("\n")[0] == "demo", done.stderr
    assert "-o default -F _refbench_completion refbench" in done.stdout


def test_zsh_is_offered_the_same(shell: Shell) -> None:
    told = {"_TYPER_COMPLETE_ARGS": "refbench leaderboard --region ch", "_REFBENCH_COMPLETE": "complete_zsh"}
    assert '"changed"' in shell.run(["refbench"], **told).stdout


@pytest.mark.parametrize("line", ["refbench run ", "refbench leaderboard --site ", "refbench list attacker "])
def test_nothing_slow_is_imported(shell: Shell, line: str) -> None:
    words = line.split(" ")
    told = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1), "_REFBENCH_COMPLETE": "complete_bash"}
    imported = {
        part.split("|")[-1].strip().partition(".")[0]
        for part in shell.run(["refbench"], **told, PYTHONPROFILEIMPORTTIME="1").stderr.splitlines()
    }
    assert "typer" in imported
    assert not imported & set(HEAVY)


def test_installation_writes_what_the_shell_reads_at_its_start(shell: Shell) -> None:
    done = shell.run(["bash", "--norc", "-c", "refbench --install-completion; true"])
    assert done.returncode == 0, done.stderr
    assert ".bash_completions/refbench.sh" in (shell.folder / ".bashrc").read_text()
