"""Who trains, validates and tests, by every method."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from refbench.errors import DataError
from refbench.split import Split, split_subjects
from refbench.split_options import Part, SplitOptions

SITES = ["Guys", "HH", "IOP", "x"]


def cohorts(*there: str) -> st.SearchStrategy[dict[str, str]]:
    """Cohorts of up to sixty people more than one for each site of `there`."""
    more = st.lists(st.sampled_from(SITES), max_size=60)
    return more.map(lambda sites: {f"S{number:03}": site for number, site in enumerate([*there, *sites])})


drawing = {
    "validation": st.one_of(st.floats(0, 0.99), st.integers(1, 70).map(float)),
    "train": st.none() | st.integers(1, 70),
    "seed": st.integers(0, 2**40),
}
tested = st.one_of(st.floats(0.01, 0.99), st.integers(1, 70).map(float))
random_options = st.builds(SplitOptions, test=tested, **drawing)
# Each with as many people as it takes to leave somebody to train and to test.
possible = st.one_of(
    st.tuples(cohorts("x", "x"), random_options),
    st.tuples(
        cohorts(*["HH"] * 10),
        st.builds(SplitOptions, method=st.just("k-fold"), folds=st.integers(5, 9), fold=st.integers(0, 4), **drawing),
    ),
    st.tuples(
        cohorts("Guys", "x"),
        st.builds(SplitOptions, method=st.just("leave-one-site-out"), site=st.sampled_from(["Guys", "x"]), **drawing),
    ),
    st.tuples(cohorts(*["Guys"] * 23), st.builds(SplitOptions, method=st.just("paper-guys"), **drawing)),
    st.tuples(cohorts(*["IOP"] * 82), st.builds(SplitOptions, method=st.just("paper-all"), **drawing)),
)


def cohort(**sizes: int) -> dict[str, str]:
    return {f"{site}-{number:03}": site for site, size in sizes.items() for number in range(size)}


def parts_of(sites: Mapping[str, str], options: SplitOptions) -> Mapping[str, Part]:
    return split_subjects(sites, options).parts


def people(split: Split, part: Part) -> set[str]:
    return {subject for subject, own in split.parts.items() if own == part}


def members(parts: Mapping[str, Part], part: str, sites: dict[str, str]) -> Counter[str]:
    return Counter(sites[subject] for subject, own in parts.items() if own == part)


@settings(deadline=None)
@given(possible)
def test_nobody_is_in_two_parts_and_nobody_is_left_out_without_being_told(
    case: tuple[dict[str, str], SplitOptions],
) -> None:
    sites, options = case
    split = split_subjects(sites, options)
    assert split == split_subjects(dict(sites), options)
    train, validation, test = people(split, "train"), people(split, "validation"), people(split, "test")
    assert train
    assert test
    assert len(train) + len(validation) + len(test) == len(train | validation | test)
    assert {*split.parts} | {*split.left_out} == set(sites)
    assert not {*split.parts} & {*split.left_out}
    assert [*split.parts] == [subject for subject in sites if subject in split.parts]
    assert split.people() == {
        "train": len(train), "validation": len(validation), "test": len(test), "left out": len(split.left_out),
    }  # fmt: skip
    if options.train is not None:
        beyond = [why for why in split.left_out.values() if why == f"{options.train} others train"]
        assert len(train) == options.train or not beyond
    elif options.method != "paper-guys":
        assert not split.left_out


@settings(deadline=None)
@given(cohorts("x", "x"), st.builds(SplitOptions, test=tested, **{**drawing, "train": st.none()}))
def test_every_site_that_is_tested_also_trains(sites: dict[str, str], options: SplitOptions) -> None:
    assert set(members(parts_of(sites, options), "train", sites)) == set(sites.values())


@settings(deadline=None)
@given(
    st.fixed_dictionaries({site: st.integers(5, 60) for site in ("Guys", "HH", "IOP")}),
    st.floats(0.05, 0.6),
    st.integers(0, 10**6),
)
def test_every_site_is_tested_and_gives_its_share_to_within_one_person(
    sizes: dict[str, int], share: float, seed: int
) -> None:
    sites = cohort(**sizes)
    parts = parts_of(sites, SplitOptions(test=share, validation=0, seed=seed))
    tested = members(parts, "test", sites)
    total = sum(tested.values())
    assert total == max(1, round(share * len(sites)))
    shares = {site: total * size / len(sites) for site, size in sizes.items()}
    if total >= len(sizes):
        assert min(tested.values()) >= 1  # a small site gets more than its share rather than nobody
    if min(shares.values()) >= 1:
        assert all(abs(tested[site] - shares[site]) <= 1 for site in sizes)


def test_the_numbers_of_ixi() -> None:
    sites = cohort(Guys=322, HH=185, IOP=74)
    parts = parts_of(sites, SplitOptions())
    assert members(parts, "test", sites) == {"Guys": 64, "HH": 37, "IOP": 15}
    assert members(parts, "validation", sites) == {"Guys": 32, "HH": 19, "IOP": 7}
    assert members(parts, "train", sites) == {"Guys": 226, "HH": 129, "IOP": 52}


def test_numbers_of_people_instead_of_shares() -> None:
    sites = cohort(A=30, B=10)
    parts = parts_of(sites, SplitOptions(test=8, validation=4, train=12))
    assert members(parts, "test", sites) == {"A": 6, "B": 2}
    assert members(parts, "validation", sites) == {"A": 3, "B": 1}
    assert sum(members(parts, "train", sites).values()) == 12


def test_the_seed_decides_who_but_not_how_many() -> None:
    sites = cohort(A=30, B=20)
    splits = [parts_of(sites, SplitOptions(seed=seed)) for seed in range(8)]
    assert len({tuple(sorted(parts.items())) for parts in splits}) == 8
    assert len({tuple(sorted(members(parts, "test", sites).items())) for parts in splits}) == 1


def test_everybody_is_drawn_equally_often() -> None:
    sites = cohort(A=10, B=5)
    drawn = Counter[str]()
    for seed in range(600):
        drawn += Counter(s for s, part in parts_of(sites, SplitOptions(test=3, seed=seed)).items() if part == "test")
    # 600 draws of 2 of 10 and of 1 of 5: 120 each, standard deviation 9.8
    assert set(drawn) == set(sites)
    assert all(abs(count - 120) < 50 for count in drawn.values())


def test_a_small_site_is_tested_before_a_large_one_gives_more_than_its_share() -> None:
    sites = cohort(A=98, B=2)
    parts = parts_of(sites, SplitOptions(test=10, validation=0))
    assert members(parts, "test", sites) == {"A": 9, "B": 1}


def test_a_lonely_subject_trains_even_under_a_limit_that_has_room() -> None:
    sites = cohort(A=5, B=5, C=1)
    split = split_subjects(sites, SplitOptions(test=2, validation=0, train=8))
    assert members(split.parts, "train", sites)["C"] == 1
    assert sum(members(split.parts, "train", sites).values()) == 8
    assert split.notes() == [
        "1 of 11 subjects left out: 8 others train",
        "site C has one subject, who is not tested: no figures for C",
    ]


def test_no_validation_is_possible() -> None:
    assert set(parts_of(cohort(A=5), SplitOptions(validation=0)).values()) == {"train", "test"}


# The founding paper's splits


def test_paper_guys_tests_the_last_22_in_name_order_and_leaves_other_sites_out() -> None:
    sites = cohort(HH=40, Guys=100)
    shuffled = dict(sorted(sites.items(), key=lambda item: hash(item[0][::-1])))
    split = split_subjects(shuffled, SplitOptions(method="paper-guys", validation=5))
    parts = split.parts
    assert sorted(s for s, part in parts.items() if part == "test") == [f"Guys-{n:03}" for n in range(78, 100)]
    assert set(parts) == {s for s, site in sites.items() if site == "Guys"}
    assert Counter(parts.values()) == {"test": 22, "validation": 5, "train": 73}
    assert split.notes() == ["40 of 140 subjects left out: not of the site Guys"]


def test_paper_all_tests_the_last_81_in_name_order_of_all_sites() -> None:
    # IXI's names begin with a number that runs over all sites.
    sites = {f"IXI{number:03}": ("Guys", "HH", "IOP")[number % 3] for number in range(581)}
    parts = parts_of(sites, SplitOptions(method="paper-all", validation=0))
    assert [s for s, part in parts.items() if part == "test"] == [f"IXI{n:03}" for n in range(500, 581)]
    assert Counter(parts.values()) == {"test": 81, "train": 500}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_papers_test_subjects_do_not_depend_on_the_seed(seed: int) -> None:
    parts = parts_of(cohort(Guys=60), SplitOptions(method="paper-guys", seed=seed))
    assert [s for s, part in parts.items() if part == "test"] == [f"Guys-{n:03}" for n in range(38, 60)]


# Folds and sites


@settings(deadline=None)
@given(cohorts(*["x"] * 10), st.integers(2, 9), st.integers(0, 10**6))
def test_folds_are_disjoint_cover_everybody_and_take_their_share_of_every_site(
    sites: dict[str, str], folds: int, seed: int
) -> None:
    splits = [
        split_subjects(sites, SplitOptions(method="k-fold", folds=folds, fold=fold, seed=seed, validation=0))
        for fold in range(folds)
    ]
    tested = [subject for split in splits for subject in people(split, "test")]
    assert sorted(tested) == sorted(sites)
    sizes = [len(people(split, "test")) for split in splits]
    assert max(sizes) - min(sizes) <= 1
    for site in set(sites.values()):
        there = [members(split.parts, "test", sites)[site] for split in splits]
        assert max(there) - min(there) <= 1


def test_folds_are_drawn_by_the_seed() -> None:
    sites = cohort(A=30, B=12)
    chosen = [SplitOptions(method="k-fold", fold=2, seed=seed) for seed in range(5)]
    assert len({frozenset(people(split_subjects(sites, one), "test")) for one in chosen}) == 5
    assert len({split_subjects(sites, one).digest for one in (*chosen, *chosen)}) == 5


def test_a_site_that_is_left_out_is_tested_whole_and_never_seen_before() -> None:
    sites = cohort(Guys=20, HH=12, IOP=8)
    split = split_subjects(sites, SplitOptions(method="leave-one-site-out", site="HH", validation=4))
    assert people(split, "test") == {subject for subject, site in sites.items() if site == "HH"}
    assert members(split.parts, "validation", sites) == {"Guys": 3, "IOP": 1}
    assert members(split.parts, "train", sites) == {"Guys": 17, "IOP": 7}
    assert split.notes() == ["site HH is tested, and nobody there trains"]


def test_a_site_that_is_not_there_is_an_error_that_lists_those_that_are() -> None:
    with pytest.raises(DataError, match=r"split\.site: no subject is at a site 'hh'; there are: Guys, HH"):
        split_subjects(cohort(Guys=3, HH=3), SplitOptions(method="leave-one-site-out", site="hh"))


# Tables


def table(folder: Path, *rows: str, name: str = "split.csv") -> SplitOptions:
    (folder / name).write_text("\n".join(rows) + "\n")
    return SplitOptions(method="csv", csv=folder / name)


def test_a_table_says_who_is_in_which_part_and_who_is_not_in_it_is_left_out(tmp_path: Path) -> None:
    chosen = table(
        tmp_path, "Part,subject,site", "test,A-003,A", "train,A-000,?", "train,A-000,", "validation,A-002,", ",A-004,"
    )
    split = split_subjects(cohort(A=6), chosen)
    assert split.parts == {"A-000": "train", "A-002": "validation", "A-003": "test"}
    assert split.left_out == dict.fromkeys(["A-001", "A-004", "A-005"], "no part in split.csv")
    assert split.notes() == ["3 of 6 subjects left out: no part in split.csv"]


def test_what_a_table_says_counts_not_where_it_lies(tmp_path: Path) -> None:
    sites = cohort(A=4)
    one = split_subjects(sites, table(tmp_path, "subject,part", "A-000,train", "A-001,test", name="one.csv"))
    two = split_subjects(sites, table(tmp_path, "part\tsubject", "test\tA-001", "train\tA-000", name="two.tsv"))
    other = split_subjects(sites, table(tmp_path, "subject,part", "A-000,train", "A-002,test", name="one.csv"))
    assert one.digest == two.digest != other.digest


@settings(deadline=None, max_examples=30)
@given(cohorts("x", "x"), random_options)
def test_a_split_that_was_written_down_is_the_same_split(
    tmp_path_factory: pytest.TempPathFactory, sites: dict[str, str], options: SplitOptions
) -> None:
    split = split_subjects(sites, options)
    path = tmp_path_factory.mktemp("split") / "split.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("subject", "part"), *((s, split.parts.get(s, "")) for s in sites)])
    assert split_subjects(sites, SplitOptions(method="csv", csv=path)).digest == split.digest


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["subject,part", "A-000,train", "B-7,test"], r"row of subject `B-7` and part `test`: the dataset has no such"),
        (["subject,part", "A-000,train", "A-001,tset"], r"row of subject `A-001` and part `tset`: a part is train, "),
        (
            ["subject,part", "A-000,train", "A-000,test"],
            r"row of subject `A-000` and part `test`: an earlier row puts the same person in `train`",
        ),
        (["subject,part", "A-000,train", ",test"], r"row of subject `` and part `test`: the dataset has no such"),
        (["subject,role", "A-000,train"], r"no row has a `part`"),
        (["person,part", "A-000,train"], r"no column `subject`; its columns are: person, part"),
        (["subject,part", "A-000,train"], r"leave 1 to train, 0 to validate and 0 to test; correct the column `part`"),
        (["subject,part", 'A-000,"train'], r"not a comma-separated text"),
    ],
)
def test_a_table_that_is_wrong_is_an_error_that_names_the_row(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        split_subjects(cohort(A=3), table(tmp_path, *rows))
    assert "split.csv" in str(caught.value)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv: cannot be read"):
        split_subjects(cohort(A=3), SplitOptions(method="csv", csv=tmp_path / "nowhere.csv"))


# What cannot be


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("folds", {"folds": 5}),
        ("fold", {"fold": 0}),
        ("site", {"site": "HH"}),
        ("csv", {"csv": "split.csv"}),
        ("test", {"method": "k-fold", "test": 0.2}),
        ("test", {"method": "leave-one-site-out", "site": "HH", "test": 0.2}),
        ("test", {"method": "paper-all", "test": 81}),
        ("validation", {"method": "csv", "csv": "split.csv", "validation": 0.1}),
        ("train", {"method": "csv", "csv": "split.csv", "train": None}),
    ],
)
def test_options_that_mean_nothing_to_the_method_are_refused(key: str, given: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="means nothing to the method") as caught:
        SplitOptions.model_validate(given)
    assert [error["loc"] for error in caught.value.errors()] == [(key,)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "leave-one-site-out"}, "needs `site`"),
        ({"method": "csv"}, "needs `csv`"),
        ({"method": "k-fold", "folds": 3, "fold": 3}, "the folds are 0 to 2"),
        ({"method": "k-fold", "fold": 5}, "the folds are 0 to 4"),
    ],
)
def test_options_that_a_method_needs(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SplitOptions.model_validate(given)


def test_equal_splits_are_written_alike() -> None:
    assert SplitOptions(method="paper-all", validation=0).model_dump(mode="json") == {
        "method": "paper-all",
        "validation": 0,
        "train": None,
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("sites", "chosen", "remedy"),
    [
        ({}, SplitOptions(), "more subjects, or lower split.test or split.validation"),
        (cohort(A=1), SplitOptions(), "more subjects, or lower split.test or split.validation"),
        (cohort(A=1, B=1, C=1), SplitOptions(), "more subjects, or lower split.test or split.validation"),
        (cohort(A=1), SplitOptions(method="k-fold"), "more subjects, or lower split.folds or split.validation"),
        (
            cohort(HH=9),
            SplitOptions(method="leave-one-site-out", site="HH"),
            "more subjects of other sites, or lower split.validation",
        ),
        (cohort(HH=100), SplitOptions(method="paper-guys"), "more subjects, or lower split.validation"),
        (cohort(Guys=22), SplitOptions(method="paper-guys"), "more subjects, or lower split.validation"),
        (cohort(Guys=81), SplitOptions(method="paper-all"), "more subjects, or lower split.validation"),
    ],
)
def test_too_few_people_are_an_error_that_says_what_to_do(
    sites: dict[str, str], chosen: SplitOptions, remedy: str
) -> None:
    with pytest.raises(DataError, match="leave") as caught:
        split_subjects(sites, chosen)
    assert str(caught.value).endswith(f"; give the dataset {remedy}")
