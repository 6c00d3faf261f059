"""Names and sidecars of BIDS data sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refbench.bids_names import ENTITIES, BidsName, metadata
from refbench.errors import DataError


def test_a_name_is_taken_apart_and_put_together() -> None:
    name = BidsName.parse("sub-01_ses-2_acq-mprage_run-1_T1w.nii.gz")
    assert name is not None
    assert dict(name.entities) == {"sub": "01", "ses": "2", "acq": "mprage", "run": "1"}
    assert (name.suffix, name.extension) == ("T1w", ".nii.gz")
    assert str(name) == "sub-01_ses-2_acq-mprage_run-1_T1w.nii.gz"


@pytest.mark.parametrize(
    "name", ["sub_T1w.nii", "sub-01_sub-02_T1w.nii", "sub-0!_T1w.nii", "sub-01_", "", "sub-_T1w.nii"]
)
def test_what_is_no_bids_name(name: str) -> None:
    assert BidsName.parse(name) is None


@pytest.mark.parametrize(
    ("before", "key", "after"),
    [
        ("sub-01_T1w.nii", "desc", "sub-01_desc-x_T1w.nii"),
        ("sub-01_run-1_echo-2_T1w.nii", "mod", "sub-01_run-1_mod-x_echo-2_T1w.nii"),
        ("sub-01_own-1_T1w.nii", "ses", "sub-01_own-1_ses-x_T1w.nii"),
        ("sub-01_desc-a_T1w.nii", "desc", "sub-01_desc-x_T1w.nii"),
        ("T1w.json", "sub", "sub-x_T1w.json"),
    ],
)
def test_one_more_entity_stands_where_it_belongs(before: str, key: str, after: str) -> None:
    name = BidsName.parse(before)
    assert name is not None
    assert str(name.having(key, "x")) == after


@given(st.lists(st.sampled_from(ENTITIES), unique=True))
def test_entities_added_in_any_order_stand_in_the_order_of_bids(keys: list[str]) -> None:
    name = BidsName({}, "T1w", ".nii.gz")
    for key in keys:
        name = name.having(key, "1")
    assert list(name.entities) == sorted(keys, key=ENTITIES.index)
    assert BidsName.parse(str(name)) == name


def test_sidecars_are_inherited_and_the_nearer_one_wins(tmp_path: Path) -> None:
    anat = tmp_path / "sub-01" / "ses-1" / "anat"
    anat.mkdir(parents=True)
    for path, content in {
        tmp_path / "T1w.json": {"a": 0, "b": 0, "c": 0, "d": 0},
        tmp_path / "acq-mprage_T1w.json": {"b": 1},
        tmp_path / "acq-other_T1w.json": {"a": "of another acquisition"},
        tmp_path / "T2w.json": {"a": "of another suffix"},
        tmp_path / "sub-01" / "sub-01_T1w.json": {"c": 2},
        anat / "sub-01_ses-1_acq-mprage_T1w.json": {"d": 3},
        anat / "sub-01_ses-1_acq-mprage_run-2_T1w.json": {"a": "of another run"},
        tmp_path.parent / "T1w.json": {"a": "of outside"},
    }.items():
        path.write_text(json.dumps(content))
    assert metadata(anat / "sub-01_ses-1_acq-mprage_T1w.nii.gz", tmp_path) == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_of_other_names_the_json_file_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "jane.2.json").write_text('{"EchoTime": 0.003}')
    (tmp_path / "jane.json").write_text('{"EchoTime": 9}')
    assert metadata(tmp_path / "jane.2.nii.gz", tmp_path) == {"EchoTime": 0.003}
    assert metadata(tmp_path / "joe.nii.gz", tmp_path) == {}


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff"])
def test_a_damaged_sidecar_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "T1w.json").write_bytes(content)
    with pytest.raises(DataError, match=r"T1w\.json"):
        metadata(tmp_path / "sub-01_T1w.nii", tmp_path)
