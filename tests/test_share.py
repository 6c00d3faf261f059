"""The order in which training people are shown to attackers that learn from a share of them."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from refbench.share import nested_order

cohorts = st.lists(st.sampled_from(["Guys", "HH", "IOP"]), min_size=1, max_size=60).map(
    lambda sites: {f"S{number:03}": site for number, site in enumerate(sites)}
)


@given(cohorts, st.integers(0, 2**40))
def test_everybody_stands_in_it_once(sites: dict[str, str], seed: int) -> None:
    assert sorted(nested_order(sites, seed)) == sorted(sites)


@given(cohorts, st.integers(0, 2**40), st.floats(0, 1))
def test_every_beginning_has_its_people_from_the_sites_in_proportion(
    sites: dict[str, str], seed: int, share: float
) -> None:
    count = round(share * len(sites))
    drawn = Counter(sites[person] for person in nested_order(sites, seed)[:count])
    for site, size in Counter(sites.values()).items():
        assert abs(drawn[site] - size * count / len(sites)) < 3, "never far from its share, three sites or not"


def test_the_seed_decides_and_the_other_sites_do_not_matter() -> None:
    people = {f"S{number}": "A" for number in range(20)}
    assert nested_order(people, 3) == nested_order(people, 3) != nested_order(people, 4)
    assert [p for p in nested_order({**people, "T": "B"}, 3) if p != "T"] == nested_order(people, 3)


def test_a_small_site_may_come_first() -> None:
    sites = {f"S{number}": "A" for number in range(9)} | {"T": "B"}
    places = Counter(nested_order(sites, seed).index("T") for seed in range(300))
    assert set(places) == set(range(10))
