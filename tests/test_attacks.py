"""Who attacks: every threat and control that a suite asks for is a cell, and only those."""

from __future__ import annotations

import pytest
from conftest import Workplace

from refbench.errors import DataError, SuiteError
from refbench.plan import Plan, build_plan
from refbench.store import Store
from refbench.suite import load_suite

COHORT = """
dataset: {tiny_heads: {people: 12}}
split: {test: 4, validation: 2}
anonymizers: [smear, {smear: {reach: 3}}]
attackers: [none, regression]
"""

AVERAGES = ["mean_face", "mean_face(aligned=False)"]


def plan(workplace: Workplace, text: str = "") -> Plan:
    return build_plan(load_suite(str(workplace.suite(COHORT + text))), Store(workplace.folder / "store"))


def names(laid_out: Plan, anonymizer: str = "smear") -> list[str]:
    numbers = {chosen.label: number for number, chosen in enumerate(laid_out.suite.anonymizers)}
    cells = [cell for cell in laid_out.cells if cell.anonymizer == numbers[anonymizer]]
    return [cell.attack.label(laid_out.suite) for cell in cells]


def test_without_controls_attackers_are_informed_and_nothing_is_added(workplace: Workplace) -> None:
    laid_out = plan(workplace)
    assert names(laid_out) == ["none", "regression"]
    assert [chosen.label for chosen in laid_out.suite.anonymizers] == ["smear", "smear(reach=3)"]


def test_controls_are_added_once_and_only_where_they_mean_something(workplace: Workplace) -> None:
    laid_out = plan(workplace, "controls: true\n")
    assert [chosen.label for chosen in laid_out.suite.anonymizers][2:] == ["identity", "constant"]
    assert [chosen.label for chosen in laid_out.suite.attackers][2:] == AVERAGES
    informed = ["none", "regression", *AVERAGES]
    learnt = "regression learnt on identity"
    assert names(laid_out) == [*informed, "regression learnt on wrong pairs", learnt]
    assert names(laid_out, "smear(reach=3)") == [*informed, learnt]  # wrong pairs: once for every attacker
    assert names(laid_out, "identity") == names(laid_out, "constant") == informed


def test_what_the_suite_names_itself_stays_where_it_is(workplace: Workplace) -> None:
    text = "anonymizers: [identity, smear]\ncontrols: true\n"
    suite = load_suite(str(workplace.suite(COHORT.replace("anonymizers: [smear, {smear: {reach: 3}}]\n", "") + text)))
    assert [chosen.label for chosen in suite.anonymizers] == ["identity", "smear", "constant"]


def test_floors_that_a_sweep_names_are_not_added_again(workplace: Workplace) -> None:
    text = COHORT.replace("[none, regression]", "[mean_face: {aligned: [true, false]}]") + "controls: true\n"
    suite = load_suite(str(workplace.suite(text)))
    assert [chosen.label for chosen in suite.attackers] == [
        "mean_face(aligned=True)",
        "mean_face(aligned=False)",
        "none",
    ]


def test_single_controls_can_be_switched_off(workplace: Workplace) -> None:
    text = "controls: {constant: false, shuffled: false, crossed: false, identity: false, memory: false}\n"
    laid_out = plan(workplace, text)
    assert names(laid_out) == ["none", "regression", *AVERAGES]
    assert laid_out.suite.file.controls.notes() == [
        "Controls that are switched off: identity, constant, shuffled, crossed, memory."
    ]


def test_an_ignorant_attacker_borrows_the_training_of_another_cell(workplace: Workplace) -> None:
    laid_out = plan(workplace, "threats: {ignorant: true}\n")
    assert names(laid_out) == ["none", "regression", "regression learnt on smear(reach=3)"]
    by_name = {(cell.anonymizer, cell.attack.label(laid_out.suite)): cell for cell in laid_out.cells}
    ignorant, teacher = by_name[0, "regression learnt on smear(reach=3)"], by_name[1, "regression"]
    assert ignorant.train.key == teacher.train.key
    jobs = [job.key for job in laid_out.jobs()]
    assert len(jobs) == len(set(jobs))
    assert jobs.index(teacher.train.key) < jobs.index(ignorant.reconstruct.key)


def test_transfer_learns_from_the_people_of_one_site(workplace: Workplace) -> None:
    laid_out = plan(workplace, "threats: {transfer: true}\n")
    assert names(laid_out)[2:] == ["regression learnt at A", "regression learnt at B"]
    people = {cell.attack.place: len(cell.train.identity["train"]) for cell in laid_out.cells if cell.attack.attacker}
    assert people["A"] + people["B"] == people[""]


TWO = COHORT.replace(
    "dataset: {tiny_heads: {people: 12}}",
    "datasets: {first: {tiny_heads: {people: 12}}, second: {tiny_heads: {people: 8, first: 12}}}",
)


def test_attackers_transfer_from_one_data_set_to_others(workplace: Workplace) -> None:
    suite = workplace.suite(TWO + "threats: {transfer: true}\n")
    laid_out = build_plan(load_suite(str(suite)), Store(workplace.folder / "store"))
    places = ["first", "first A", "first B", "second", "second A", "second B"]
    assert names(laid_out)[2:] == [f"regression learnt at {place}" for place in places]
    people = {cell.attack.place: len(cell.train.identity["train"]) for cell in laid_out.cells if cell.attack.attacker}
    assert people["first"] == people["first A"] + people["first B"]
    assert people["first"] + people["second"] == people[""]
    assert {item.scan.site for item in laid_out.scans} == set(places) - {"first", "second"}


def test_places_to_learn_at_are_named(workplace: Workplace) -> None:
    suite = workplace.suite(TWO + "threats: {transfer: [second, first A]}\n")
    laid_out = build_plan(load_suite(str(suite)), Store(workplace.folder / "store"))
    assert names(laid_out)[2:] == ["regression learnt at second", "regression learnt at first A"]
    with pytest.raises(DataError, match=r"threats\.transfer: nobody who trains is of 'C'"):
        plan(workplace, "threats: {transfer: [C]}\n")


def test_heads_of_several_data_sets_are_the_same_jobs_as_alone(workplace: Workplace) -> None:
    """So what one suite has made of a data set, another one with more of them need not make again."""
    both = build_plan(load_suite(str(workplace.suite(TWO))), Store(workplace.folder / "store"))
    alone = {item.head.key for item in plan(workplace).scans}
    assert {item.head.key for item in both.scans if item.scan.dataset == "first"} == alone


def test_two_releases_are_composed_for_each_of_them(workplace: Workplace) -> None:
    laid_out = plan(workplace, 'threats: {composition: [[smear, "smear(reach=3)"]]}\n')
    assert names(laid_out)[2:] == ["regression given also smear(reach=3)"]
    assert names(laid_out, "smear(reach=3)")[2:] == ["regression given also smear"]
    composed = [cell for cell in laid_out.cells if cell.attack.beside is not None]
    assert {cell.reconstruct.kind for cell in composed} == {"compose"}
    jobs = [job.key for job in laid_out.jobs()]
    assert len(jobs) == len(set(jobs))
    for cell in composed:
        assert all(jobs.index(key) < jobs.index(cell.reconstruct.key) for key in cell.reconstruct.needs)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("threats: {ignorant: [smudge]}", "this suite has no such anonymizer"),
        ("threats: {composition: [[smear, smudge]]}", "this suite has no such anonymizer"),
        ("threats: {composition: [[smear, smear]]}", "name two anonymizers"),
        ("threats: {composition: [[smear]]}", "at least 2 items"),
        ("controls: {idenity: true}", "unknown key"),
    ],
)
def test_what_cannot_be_is_said_at_its_place(workplace: Workplace, text: str, said: str) -> None:
    with pytest.raises(SuiteError, match=said):
        load_suite(str(workplace.suite(COHORT + text)))
