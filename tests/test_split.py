from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from refbench.errors import DataError
from refbench.split import SplitOptions, lonely_sites, split_subjects

cohorts = st.lists(st.sampled_from(["Guys", "HH", "IOP", "x"]), min_size=1, max_size=60).map(
    lambda sites: {f"S{number:03}": site for number, site in enumerate(sites)}
)
options = st.builds(
    SplitOptions,
    test=st.one_of(st.floats(0.01, 0.99), st.integers(1, 70).map(float)),
    validation=st.one_of(st.floats(0, 0.99), st.integers(1, 70).map(float)),
    train=st.none() | st.integers(1, 70),
    seed=st.integers(0, 2**40),
)


def cohort(**sizes: int) -> dict[str, str]:
    return {f"{site}-{number:03}": site for site, size in sizes.items() for number in range(size)}


def members(parts: dict[str, str], part: str, sites: dict[str, str]) -> Counter[str]:
    return Counter(sites[subject] for subject, own in parts.items() if own == part)


@given(cohorts, options)
def test_a_split_is_complete_deterministic_and_leaves_nobody_out_without_being_told(
    sites: dict[str, str], options: SplitOptions
) -> None:
    try:
        parts = split_subjects(sites, options)
    except DataError:
        assume(False)
    assert parts == split_subjects(dict(sites), options)
    assert set(parts) <= set(sites)
    assert [*parts] == [subject for subject in sites if subject in parts]
    assert set(parts.values()) >= {"train", "test"}
    count = Counter(parts.values())
    if options.train is None:
        assert set(parts) == set(sites)
    else:
        assert count["train"] <= options.train
        left = len(sites) - count["test"] - count["validation"]
        assert count["train"] == min(options.train, left)


@given(cohorts, options)
def test_every_site_that_is_tested_also_trains(sites: dict[str, str], options: SplitOptions) -> None:
    assume(options.train is None)
    try:
        parts = split_subjects(sites, options)
    except DataError:
        assume(False)
    assert set(members(parts, "train", sites)) == set(sites.values())


@given(
    st.fixed_dictionaries({site: st.integers(5, 60) for site in ("Guys", "HH", "IOP")}),
    st.floats(0.05, 0.6),
    st.integers(0, 10**6),
)
def test_every_site_is_tested_and_gives_its_share_to_within_one_person(
    sizes: dict[str, int], share: float, seed: int
) -> None:
    sites = cohort(**sizes)
    parts = split_subjects(sites, SplitOptions(test=share, validation=0, seed=seed))
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
    parts = split_subjects(sites, SplitOptions())
    assert members(parts, "test", sites) == {"Guys": 64, "HH": 37, "IOP": 15}
    assert members(parts, "validation", sites) == {"Guys": 32, "HH": 19, "IOP": 7}
    assert members(parts, "train", sites) == {"Guys": 226, "HH": 129, "IOP": 52}


def test_numbers_of_people_instead_of_shares() -> None:
    sites = cohort(A=30, B=10)
    parts = split_subjects(sites, SplitOptions(test=8, validation=4, train=12))
    assert members(parts, "test", sites) == {"A": 6, "B": 2}
    assert members(parts, "validation", sites) == {"A": 3, "B": 1}
    assert sum(members(parts, "train", sites).values()) == 12


def test_the_seed_decides_who_but_not_how_many() -> None:
    sites = cohort(A=30, B=20)
    splits = [split_subjects(sites, SplitOptions(seed=seed)) for seed in range(8)]
    assert len({tuple(sorted(parts.items())) for parts in splits}) == 8
    assert len({tuple(sorted(members(parts, "test", sites).items())) for parts in splits}) == 1


def test_everybody_is_drawn_equally_often() -> None:
    sites = cohort(A=10, B=5)
    drawn = Counter[str]()
    for seed in range(600):
        drawn += Counter(
            s for s, part in split_subjects(sites, SplitOptions(test=3, seed=seed)).items() if part == "test"
        )
    # 600 draws of 2 of 10 and of 1 of 5: 120 each, standard deviation 9.8
    assert set(drawn) == set(sites)
    assert all(abs(count - 120) < 50 for count in drawn.values())


def test_a_small_site_is_tested_before_a_large_one_gives_more_than_its_share() -> None:
    sites = cohort(A=98, B=2)
    parts = split_subjects(sites, SplitOptions(test=10, validation=0))
    assert members(parts, "test", sites) == {"A": 9, "B": 1}


def test_a_lonely_subject_trains_even_under_a_limit_that_has_room() -> None:
    sites = cohort(A=5, B=5, C=1)
    assert lonely_sites(sites) == ["C"]
    parts = split_subjects(sites, SplitOptions(test=2, validation=0, train=8))
    assert members(parts, "train", sites)["C"] == 1
    assert sum(members(parts, "train", sites).values()) == 8


def test_no_validation_is_possible() -> None:
    assert set(split_subjects(cohort(A=5), SplitOptions(validation=0)).values()) == {"train", "test"}


# The founding paper's splits


def test_paper_guys_tests_the_last_22_in_name_order_and_leaves_other_sites_out() -> None:
    sites = cohort(HH=40, Guys=100)
    shuffled = dict(sorted(sites.items(), key=lambda item: hash(item[0][::-1])))
    parts = split_subjects(shuffled, SplitOptions(method="paper-guys", validation=5))
    assert sorted(s for s, part in parts.items() if part == "test") == [f"Guys-{n:03}" for n in range(78, 100)]
    assert set(parts) == {s for s, site in sites.items() if site == "Guys"}
    assert Counter(parts.values()) == {"test": 22, "validation": 5, "train": 73}


def test_paper_all_tests_the_last_81_in_name_order_of_all_sites() -> None:
    # IXI's names begin with a number that runs over all sites.
    sites = {f"IXI{number:03}": ("Guys", "HH", "IOP")[number % 3] for number in range(581)}
    parts = split_subjects(sites, SplitOptions(method="paper-all", validation=0))
    assert [s for s, part in parts.items() if part == "test"] == [f"IXI{n:03}" for n in range(500, 581)]
    assert Counter(parts.values()) == {"test": 81, "train": 500}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_papers_test_subjects_do_not_depend_on_the_seed(seed: int) -> None:
    parts = split_subjects(cohort(Guys=60), SplitOptions(method="paper-guys", seed=seed))
    assert [s for s, part in parts.items() if part == "test"] == [f"Guys-{n:03}" for n in range(38, 60)]


@pytest.mark.parametrize(
    ("sites", "chosen"),
    [
        ({}, SplitOptions()),
        (cohort(A=1), SplitOptions()),
        (cohort(A=1, B=1, C=1), SplitOptions()),
        (cohort(HH=100), SplitOptions(method="paper-guys")),
        (cohort(Guys=22), SplitOptions(method="paper-guys")),
        (cohort(Guys=81), SplitOptions(method="paper-all")),
    ],
)
def test_too_few_people_are_an_error_that_says_what_to_do(sites: dict[str, str], chosen: SplitOptions) -> None:
    with pytest.raises(DataError, match=r"give the dataset more subjects, or lower split\.test"):
        split_subjects(sites, chosen)
