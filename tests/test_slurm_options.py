"""What a suite may say of SLURM, and what is said where there is none."""

from __future__ import annotations

import pytest
from conftest import Workplace

from refbench.engines import slurm
from refbench.errors import EngineError, SuiteError
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
        slurm.check_commands()


def test_only_a_run_on_slurm_can_be_detached(workplace: Workplace) -> None:
    refused = workplace.refbench("run", workplace.suite(""), "--detach")
    assert refused.returncode == 2
    assert "name that engine, too, by --engine slurm or in the suite" in refused.stderr
