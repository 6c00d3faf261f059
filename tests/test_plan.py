"""What decides a training, who it is shown, and who it must not be shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import Workplace

from refbench.errors import DataError, SuiteError
from refbench.job import Job
from refbench.plan import Plan, build_plan
from refbench.records import read_records
from refbench.results import run_folder, write_results
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


def key_of_slices(laid_out: Plan, subject: str) -> str:
    (key,) = (item.slices[0].key for item in laid_out.scans if item.scan.subject == subject)
    return key


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
    assert job.where["choices"] == "choices", "relative to the store, which can be moved"
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


# Splits

SPLITS = [
    "{test: 4, validation: 3}",
    "{method: k-fold, folds: 4, fold: 2}",
    "{method: leave-one-site-out, site: B, validation: 2}",
    "{method: csv, csv: who.csv}",
]


@pytest.mark.parametrize("split", SPLITS)
def test_whoever_is_tested_neither_trains_nor_validates_in_any_session(workplace: Workplace, split: str) -> None:
    who = [f"T{number:02},{('train', 'test', 'validation')[number % 3]}" for number in range(20)]
    (workplace.folder / "who.csv").write_text("\n".join(["subject,part", *who]))
    laid_out = plan(workplace, COHORT.splitlines()[0] + f"\nsplit: {split}\nattackers: [offset: {{share: [0.5, 1]}}]")
    subject_of = {item.slices[0].key: item.scan.subject for item in laid_out.scans}
    assert len(subject_of) == 40
    tested = {item.scan.subject for item in laid_out.tested[0]}
    for cell in laid_out.cells:
        taught = {subject_of[key] for key in cell.train.needs}
        assert taught
        assert tested
        assert not taught & tested
        assert {subject_of[key] for key in cell.reconstruct.identity["test"]} == tested
    assert {item.scan.subject: item.part for item in laid_out.scans} == laid_out.cohort.split.parts


def test_the_split_decides_keys_only_through_who_is_where(workplace: Workplace) -> None:
    drawn = plan(workplace, COHORT)
    rows = [f"{subject},{part}" for subject, part in drawn.cohort.split.parts.items()]
    (workplace.folder / "tables").mkdir()
    (workplace.folder / "tables/a.csv").write_text("\n".join(["subject,part", *rows]))
    written = plan(workplace, COHORT.splitlines()[0] + "\nsplit: {method: csv, csv: tables/a.csv}")
    assert written.cohort.split.digest == drawn.cohort.split.digest
    assert [job.key for job in written.jobs()] == [job.key for job in drawn.jobs()]


def test_a_run_belongs_to_what_the_table_says_not_to_where_it_lies(workplace: Workplace) -> None:
    store = Store(workplace.folder / "store")
    folders = []
    for name, tested in (("a.csv", "T01"), ("b.csv", "T01"), ("b.csv", "T02")):
        (workplace.folder / name).write_text(f"subject,part\nT00,train\n{tested},test\n")
        folders.append(run_folder(load_suite(str(workplace.suite(f"split: {{method: csv, csv: {name}}}"))), store))
    assert folders[0] == folders[1] != folders[2]


def test_a_wrong_option_of_a_split_is_named_in_its_place(workplace: Workplace) -> None:
    path = workplace.folder / "wrong.yaml"
    path.write_text(
        "dataset: phantom\nanonymizers: [identity]\nattackers: [none]\n"
        "split: {method: leave-one-site-out, site: HH, test: 0.2}\n"
    )
    with pytest.raises(SuiteError) as caught:
        load_suite(str(path))
    assert ":4:53: split.test: means nothing to the method leave-one-site-out, which takes site, " in str(caught.value)


# Leaks


def scans(workplace: Workplace, people: int = 8) -> Path:
    folder = workplace.folder / "scans"
    folder.mkdir()
    for number in range(people):
        (folder / f"s{number}.nii").write_bytes(bytes([number]) * 400)
    return folder


FOLDER = "dataset: {folder: {path: scans}}\nsplit: {test: 3, validation: 0}\n"


def test_one_file_under_two_names_in_two_parts_stops_the_run(workplace: Workplace) -> None:
    folder = scans(workplace)
    parts = plan(workplace, FOLDER).cohort.split.parts
    trains, tests = (next(who for who, own in parts.items() if own == part) for part in ("train", "test"))
    shutil.copy(folder / f"{trains}.nii", folder / f"{tests}.nii")
    with pytest.raises(DataError) as caught:
        plan(workplace, FOLDER)
    for subject, part in ((trains, "train"), (tests, "test")):
        assert f"{folder / subject}.nii (subject {subject}, {part})" in str(caught.value)
    result = workplace.refbench("run", workplace.folder / "tiny.yaml")
    assert result.returncode == 2
    assert "are the same file, in two parts of the split" in result.stderr


def test_one_file_under_two_names_in_one_part_is_a_note(workplace: Workplace) -> None:
    folder = scans(workplace)
    first, second, *_ = (who for who, part in plan(workplace, FOLDER).cohort.split.parts.items() if part == "train")
    shutil.copy(folder / f"{first}.nii", folder / f"{second}.nii")
    laid_out = plan(workplace, FOLDER)
    assert laid_out.notes == (
        "1 subject(s) with the same head as another of their part (the run's split.csv says who)",
    )
    store = Store(workplace.folder / "store")
    run = write_results(laid_out, store, read_records(laid_out, store), {})
    notes = pd.read_csv(run.folder / "split.csv", keep_default_na=False).set_index("subject")["note"]
    assert {subject: note for subject, note in notes.items() if note} == {second: f"same content as {first}"}


def test_files_that_vanished_are_nobodys_copies(workplace: Workplace) -> None:
    (workplace.folder / "gone.py").write_text(
        "from pathlib import Path\nfrom refbench.datasets.phantom import Phantom, Scan\n\n"
        "class Gone(Phantom):\n"
        "    '''Was there a moment ago.'''\n\n"
        "    def scans(self):\n"
        "        return [Scan(str(n), 'x', files=(Path(f'/nowhere/{n}.nii'),)) for n in range(self.subjects)]\n"
    )
    assert plan(workplace, "plugins: [gone.py]\ndataset: gone\nanonymizers: [identity]\nattackers: [none]").notes == ()


def test_a_file_that_vanishes_during_a_run_redraws_nobody(workplace: Workplace) -> None:
    folder = scans(workplace)
    text = FOLDER + "anonymizers: [identity]"
    before = plan(workplace, text)
    lost = next(item for item in before.scans if item.part == "train")
    lost.scan.files[0].unlink()
    store = Store(workplace.folder / "store")
    after = build_plan(before.suite, store, before.cohort)
    assert [job.key for job in after.jobs()] == [job.key for job in before.jobs()]
    store.fail(lost.head.key, {"status": "failed", "label": lost.head.label, "error": f"{folder}: no such file"})
    excluded = build_plan(before.suite, store, before.cohort)
    assert excluded.cohort.split == before.cohort.split
    assert excluded.tested == before.tested
    everybody = trainings(before)[0].identity["train"]
    assert trainings(excluded)[0].identity["train"] == [
        person for person in everybody if person != [key_of_slices(before, lost.scan.subject)]
    ]
    assert len(plan(workplace, text).scans) == 7  # another run lists what is there then


def test_virtual_people_of_one_source_are_no_copies_but_one_person_twice_is(workplace: Workplace) -> None:
    scans(workplace, people=1)
    plan(workplace, "dataset: {morphed: {path: scans, people: 8}}\nslices: {}")
    forms = "as_it_is, stored_LPI, uint8, int16"
    assert plan(workplace, f"dataset: {{variants: {{forms: [{forms}]}}}}\nsplit: {{test: 1}}").notes == ()
    (workplace.folder / "twice.py").write_text(
        "from refbench.datasets.phantom import Phantom, Scan\n\n"
        "class Twice(Phantom):\n"
        "    '''A phantom, and its people again under other names.'''\n\n"
        "    def scans(self):\n"
        "        known = super().scans()\n"
        "        return [*known, *(Scan('again' + s.subject, s.site, recipe=s.recipe) for s in known)]\n"
    )
    with pytest.raises(DataError, match=r"head P00\d \(subject P00\d, .*\) and .* are the same head"):
        plan(
            workplace,
            "plugins: [twice.py]\ndataset: {twice: {subjects: 6}}\nanonymizers: [identity]\nattackers: [none]",
        )


# What is saved


def test_the_split_is_saved_with_the_run_and_can_be_used_again(workplace: Workplace) -> None:
    text = "dataset: {tiny_heads: {people: 9, sites: [A, A, A, A, A, A, A, A, B]}}\n"
    store = Store(workplace.folder / "store")
    drawn = plan(workplace, text + "split: {test: 2, validation: 1, train: 5}")
    unread = next(item for item in drawn.scans if item.part == "test")
    store.fail(unread.head.key, {"status": "failed", "label": unread.head.label, "error": "t.nii.gz is cut short"})
    laid_out = plan(workplace, text + "split: {test: 2, validation: 1, train: 5}")
    assert laid_out.notes == (
        "1 of 9 subjects left out: 5 others train",
        "site B has one subject, who is not tested: no figures for B",
        "1 of 8 scans excluded, of 1 subject(s): the head could not be loaded (the run's split.csv says whose, and "
        "why)",
    )
    about = {"split": {}, "notes": list(laid_out.notes)}
    folder = write_results(laid_out, store, read_records(laid_out, store), about).folder

    rows = pd.read_csv(folder / "split.csv", keep_default_na=False).set_index("subject")
    assert [*rows.columns] == ["site", "part", "note"]
    assert rows["part"].value_counts().to_dict() == {"train": 5, "test": 2, "validation": 1, "": 1}
    assert rows.loc[rows["part"] == "", "note"].tolist() == ["left out: 5 others train"]
    assert rows.loc[unread.scan.subject, "note"] == f"{unread.scan.who} excluded: t.nii.gz is cut short"
    assert rows.loc[unread.scan.subject, "part"] == "test"
    info = json.loads((folder / "run.json").read_text())["split"]
    assert info["people"] == {"train": 5, "validation": 1, "test": 2, "left out": 1}
    assert info["digest"] == drawn.cohort.split.digest == laid_out.cohort.split.digest

    again = plan(workplace, text + f"split: {{method: csv, csv: {folder / 'split.csv'}}}")
    assert again.cohort.split.digest == drawn.cohort.split.digest
    assert again.notes[0] == "1 of 9 subjects left out: no part in split.csv"
