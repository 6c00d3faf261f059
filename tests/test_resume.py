"""Runs of a part of a suite, runs that do things again, and runs that stop at the first failure."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from conftest import Workplace

from refbench.errors import SuiteError
from refbench.only import Only
from refbench.plan import Plan, build_plan
from refbench.results import load_run
from refbench.store import Store
from refbench.suite import load_suite

FEW = "dataset: {tiny_heads: {people: 4}}\n"
SUITE = FEW + "anonymizers: [identity, smear: {reach: [1, 3]}]\nattackers: [none, offset]"


@pytest.fixture
def plan(workplace: Workplace) -> Plan:
    return build_plan(load_suite(str(workplace.suite(SUITE))), Store(workplace.folder / "store"))


def labels(plan: Plan, *texts: str, needed: bool = False) -> set[str]:
    only = Only.parse(texts)
    only.check(plan)
    keys = only.needed(plan) if needed else only.fitting(plan)
    return {job.label.replace(" session ", "") for job in plan.jobs() if job.key in keys}


def test_of_one_thing_one_pattern_must_fit_and_every_thing_must(plan: Plan) -> None:
    assert labels(plan, "kind=train", "anonymizer=smear*", "attacker=offset") == {
        "train smear(reach=1) × offset",
        "train smear(reach=3) × offset",
    }
    assert labels(plan, "kind=train", "anonymizer=identity", "anonymizer=smear(reach=1)", "attacker=none") == {
        "train identity × none",
        "train smear(reach=1) × none",
    }
    assert labels(plan, "subject=T03", "kind=anonymize", "anonymizer=smear") == {
        "anonymize T03 smear(reach=1)",
        "anonymize T03 smear(reach=3)",
    }, "a plug-in's plain name fits whatever its parameters"
    assert len(labels(plan)) == len({job.label for job in plan.jobs()})


def test_scores_without_attack_belong_to_every_attacker(plan: Plan) -> None:
    assert labels(plan, "attacker=offset", "kind=score", "anonymizer=identity") == {
        "score correlation identity released",
        "score correlation identity × offset",
    }


def test_what_is_needed_is_done_for_them_and_nothing_else(plan: Plan) -> None:
    kinds = {label.split()[0] for label in labels(plan, "kind=anonymize", "subject=T0[12]", needed=True)}
    assert kinds == {"anonymize", "head"}
    assert not any("reach=3" in label for label in labels(plan, "anonymizer=smear(reach=1)", needed=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blur", "write what=pattern"),
        ("anonymizer=", "write what=pattern"),
        ("anonymiser=smear", "unknown 'anonymiser'; did you mean 'anonymizer'?"),
        ("anonymizer=smaer", "this suite has no such anonymizer; did you mean 'smear'?"),
        ("subject=T9*", "this suite has no such subject; there are: T00"),
    ],
)
def test_what_fits_nothing_is_refused(plan: Plan, text: str, message: str) -> None:
    with pytest.raises(SuiteError) as refused:
        labels(plan, text)
    assert message in str(refused.value)


def test_a_part_of_a_suite_is_run_and_the_leaderboard_says_what_is_missing(workplace: Workplace) -> None:
    suite = workplace.suite(SUITE)
    result = workplace.refbench("run", suite, "--only", "anonymizer=smear(reach=1)", "--only", "attacker=offset")
    assert result.returncode == 0, result.stderr
    assert (workplace.count("anonymize"), workplace.count("fit")) == (4, 1)
    board = json.loads(workplace.refbench("leaderboard", "--format", "json").stdout)["rows"]
    told = {row["anonymizer"]: (row["rank"], row["failed"], row["missing"]) for row in board}
    assert told == {
        "smear(reach=1)": (None, 0, "none: not run yet"),
        "smear(reach=3)": (None, 0, "none: not run yet; offset: not run yet"),
        "identity": (None, 0, "none: not run yet; offset: not run yet"),
    }
    scores = load_run(workplace.run_folder()).scores
    assert set(scores["condition"]) == {"anonymized", "reconstructed"}
    assert workplace.refbench("run", suite).returncode == 0
    assert workplace.count("fit") == 3, "the rest of it, and nothing twice"
    refused = workplace.refbench("run", suite, "--only", "attacker=pix2pix")
    assert refused.returncode == 2
    assert "this suite has no such attacker" in refused.stderr


@pytest.mark.slow
def test_redo_does_again_what_is_chosen_and_keeps_the_rest(workplace: Workplace) -> None:
    suite = workplace.suite(SUITE)
    workplace.refbench("run", suite)
    table = (workplace.run_folder() / "scores.parquet").read_bytes()
    result = workplace.refbench("run", suite, "--redo", "--only", "kind=train", "--only", "anonymizer=smear*")
    assert result.returncode == 0, result.stderr
    assert (workplace.count("load"), workplace.count("fit")) == (4, 3 + 2)
    workplace.refbench("run", suite, "--redo")
    assert (workplace.count("load"), workplace.count("fit")) == (8, 5 + 3)
    assert (workplace.run_folder() / "scores.parquet").read_bytes() == table
    workplace.refbench("run", suite)
    assert (workplace.count("load"), workplace.count("fit")) == (8, 8), "it is done again once"
    store = workplace.folder / "store"
    assert not list((store / "scratch").iterdir())
    assert not list((store / "replace").iterdir())


@pytest.mark.slow
def test_a_result_stands_until_the_new_one_is_there(workplace: Workplace) -> None:
    suite = workplace.suite(FEW + "attackers: [offset: {pause: 4}]")
    workplace.refbench("run", suite)
    store = Store(workplace.folder / "store")
    (trained,) = [key for label, key in keys(workplace).items() if label.startswith("train")]
    before = (store.folder(trained) / "status.json").read_bytes()
    process = workplace.start("run", suite, "--redo", "--only", "kind=train")
    deadline = time.monotonic() + 60
    while workplace.count("fit") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert (store.folder(trained) / "status.json").read_bytes() == before
    assert "to be done again" in workplace.refbench("plan", suite).stdout
    assert workplace.refbench("run", suite).returncode == 0
    assert workplace.count("fit") == 3, "an interrupted redo goes on"
    assert (store.folder(trained) / "status.json").read_bytes() != before


def test_what_could_not_be_done_again_is_told_and_then_stands_as_it_was(workplace: Workplace) -> None:
    plugins = workplace.folder / "moody.py"
    plugins.write_text(
        "from pathlib import Path\nfrom refbench.attackers.none import NoAttack\n\n"
        "class Moody(NoAttack):\n"
        '    "Fails under a cloud."\n\n'
        "    def fit(self, train, validation, context):\n"
        f"        assert not Path({str(workplace.folder / 'cloud')!r}).exists(), 'a cloud'\n"
        "        return super().fit(train, validation, context)\n"
    )
    tiny = Path(__file__).with_name("tiny_plugins.py")
    suite = workplace.suite(f"{FEW}plugins: [{tiny}, {plugins}]\nattackers: [moody]")
    first = workplace.refbench("run", suite)
    assert first.returncode == 0, first.stderr
    table = (workplace.run_folder() / "scores.parquet").read_bytes()
    (workplace.folder / "cloud").touch()
    result = workplace.refbench("run", suite, "--redo", "--only", "kind=train")
    assert result.returncode == 3
    assert "a cloud" in result.stderr
    assert workplace.refbench("run", suite).returncode == 0
    assert (workplace.run_folder() / "scores.parquet").read_bytes() == table


def keys(workplace: Workplace) -> dict[str, str]:
    found: dict[str, str] = json.loads((workplace.run_folder() / "jobs.json").read_text())
    return found


def test_fail_fast_stops_at_the_first_failure_and_keeps_what_finished(workplace: Workplace) -> None:
    suite = workplace.suite(FEW + "attackers: [none, offset: {pause: 100}, offset: {fault: raise}]")
    result = workplace.refbench("run", suite, "--fail-fast", "--jobs", "3")
    assert result.returncode == 3
    assert "diverged" in result.stderr
    ended = load_run(workplace.run_folder()).cells.set_index("attacker")["status"]
    assert ended["offset(fault=raise)"] == "failed"
    assert ended["offset(pause=100)"] == "cancelled"
    assert workplace.count("load") == 4
