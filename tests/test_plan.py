"""What decides a training, and who it is shown."""

from __future__ import annotations

from conftest import Workplace

from refbench.job import Job
from refbench.plan import Plan, build_plan
from refbench.store import Store
from refbench.suite import load_suite


def plan(workplace: Workplace, text: str) -> Plan:
    return build_plan(load_suite(str(workplace.suite(text))), Store(workplace.folder / "store"))


def trainings(laid_out: Plan) -> list[Job]:
    return [cell.train for cell in laid_out.cells]


def people_of(laid_out: Plan, part: str) -> dict[str, set[str]]:
    """Everybody of a part, with the keys of the slices of all their sessions."""
    people: dict[str, set[str]] = {}
    for item in laid_out.scans:
        if item.part == part:
            people.setdefault(item.scan.subject, set()).add(item.slices[0].key)
    return people


COHORT = "dataset: {tiny_heads: {people: 20, sessions: 2}}\nsplit: {test: 4, validation: 3}\n"


def test_shares_of_the_training_people_are_nested_and_a_sweep_makes_a_learning_curve(workplace: Workplace) -> None:
    laid_out = plan(workplace, COHORT + "attackers: [offset: {share: [0.01, 0.25, 0.5, 1]}]")
    labels = [chosen.label for chosen in laid_out.suite.attackers]
    assert labels == ["offset(share=0.01)", "offset(share=0.25)", "offset(share=0.5)", "offset(share=1)"]
    everybody = people_of(laid_out, "train")
    assert len(everybody) == 13
    shown = []
    for job in trainings(laid_out):
        drawn = [set(person) for person in job.identity["train"]]
        assert all(person in everybody.values() for person in drawn), "whole training people, with all their sessions"
        shown.append({key for person in drawn for key in person})
        assert set(job.needs) == shown[-1] | set().union(*people_of(laid_out, "validation").values())
    assert [len(keys) / 2 for keys in shown] == [1, 3, 6, 13]
    assert shown[0] < shown[1] < shown[2] < shown[3]


def test_with_everybody_the_share_decides_nothing_else(workplace: Workplace) -> None:
    whole, half = (trainings(plan(workplace, COHORT + f"attackers: [offset: {{share: {n}}}]"))[0] for n in (1, 0.5))
    (usual,) = trainings(plan(workplace, COHORT))
    assert whole.key == usual.key
    assert half.identity["validation"] == usual.identity["validation"]


def test_people_whose_preparation_failed_are_replaced_in_a_share(workplace: Workplace) -> None:
    text = COHORT + "attackers: [offset: {share: 0.25}]"
    laid_out = plan(workplace, text)
    (before,) = trainings(laid_out)
    lost = before.identity["train"][0]
    store = Store(workplace.folder / "store")
    for key in lost:
        store.fail(key, {"status": "failed", "label": "slice", "error": "no"})
    (after,) = trainings(plan(workplace, text))
    assert lost not in after.identity["train"]
    assert len(after.identity["train"]) == len(before.identity["train"])
    assert all(person in after.identity["train"] for person in before.identity["train"][1:])


def test_what_judges_validation_people_is_part_of_a_training(workplace: Workplace) -> None:
    texts = {
        "usual": "",
        "named": "selection: {metric: correlation, region: changed}",
        "region": "selection: {region: whole}",
        "metric": "metrics: [correlation, ssim]\nselection: {metric: ssim}",
        "repeatable": "training: {deterministic: true}",
    }
    keys = {name: trainings(plan(workplace, text))[0].key for name, text in texts.items()}
    assert keys["usual"] == keys["named"]
    assert len(set(keys.values())) == 4


def test_cards_decide_only_what_trains_on_them(workplace: Workplace) -> None:
    attackers = "attackers: [offset, pix2pix]\n"
    (alone, network), (same, wider) = (
        trainings(plan(workplace, f"{attackers}training: {{gpus: {count}}}")) for count in (1, 2)
    )
    assert alone.key == same.key
    assert (network.identity["gpus"], wider.identity["gpus"]) == (1, 2)
    assert network.key != wider.key


def test_what_is_known_about_the_machine_lies_in_the_store_and_decides_nothing(workplace: Workplace) -> None:
    (job,) = trainings(plan(workplace, ""))
    store = Store(workplace.folder / "store")
    choices = store.root / "choices"
    assert job.where["choices"] == str(choices)
    assert not {"choices", "shared"} & set(job.identity)
    choices.mkdir()
    (choices / "pace.json").write_text("{}")
    store.sweep()
    assert (choices / "pace.json").exists()


def test_trainings_on_the_same_pairs_share_a_folder(workplace: Workplace) -> None:
    less, all_, again = (
        job.where["shared"] for job in trainings(plan(workplace, "attackers: [mean_face: {share: [0.5, 1]}, none]\n"))
    )
    assert all_ == again
    assert less != all_
