"""What a suite may say of SLURM, and what is said where there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import Workplace

from refbench.engines import slurm_submission
from refbench.engines.slurm_options import SlurmOptions
from refbench.engines.slurm_task import Start
from refbench.errors import EngineError, SuiteError
from refbench.store import Store
from refbench.suite import load_suite


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("{slurm: {sbatch: {output: log.txt}}}", "output is set by refbench"),
        ('{slurm: {tasks: {sbatch: {comment: "one\\ntwo"}}}}', "comment is more than one line"),
        ("{slurm: {tasks: {minutes: 3}}}", "at most half of the shortest time limit, which is 3 minutes"),
        ("{slurm: {tasks: {partitoin: long}}}", "partitoin"),
    ],
)
def test_a_wrong_option_is_named_before_anything_runs(workplace: Workplace, engine: str, message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        load_suite(str(workplace.suite(f"engine: {engine}")))


def test_options_have_defaults_and_values_of_any_sbatch_option(workplace: Workplace) -> None:
    text = "{slurm: {sbatch: {qos: long, nice: 100, exclusive: true}, trainings: {partition: gpu}}}"
    options = load_suite(str(workplace.suite(f"engine: {text}"))).file.engine.slurm
    assert options.sbatch == {"qos": "long", "nice": 100, "exclusive": True}
    assert (options.trainings.partition, options.trainings.minutes, options.tasks.partition) == ("gpu", 240, None)


def test_without_slurm_here_one_message_says_where_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineError, match="needs SLURM's sbatch, squeue, scancel, srun here; run this on"):
        slurm_submission.check_commands()


def test_only_a_run_on_slurm_can_be_detached(workplace: Workplace) -> None:
    refused = workplace.refbench("run", workplace.suite(""), "--detach")
    assert refused.returncode == 2
    assert "name that engine, too, by --engine slurm or in the suite" in refused.stderr


SBATCH = """#!/bin/sh
# The first time the controller is not there, the second time it takes the array.
echo once >> {folder}/asked
test $(wc -l < {folder}/asked) -gt 1 || {{ echo "sbatch: error: Unable to contact slurm controller" >&2; exit 1; }}
echo "Submitted batch job 7"
"""


def test_a_controller_that_restarts_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("sbatch", SBATCH.format(folder=tmp_path)), ("srun", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(slurm_submission, "PAUSE_SECONDS", 0)
    store, options = Store(tmp_path / "store"), SlurmOptions(account="lab", setup=["module load cuda"])
    starts = [Start((name,), (name,)) for name in ("one", "two")]
    assert slurm_submission.hand_in(starts, store, options, options.tasks, {}) == ["7_0", "7_1"]
    script = (tmp_path / "store" / "slurm" / "7_submission.sh").read_text()
    for line in ("#SBATCH --account=lab", "#SBATCH --array=0-1%2", "#SBATCH --requeue", "module load cuda"):
        assert line in script.splitlines()
