"""Pseudonyms, texts without names and paths, and the search for what is secret."""

from __future__ import annotations

import re
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refbench.errors import StoreError
from refbench.sharing.pseudonyms import PSEUDONYM, SALT, Pseudonyms, store_pseudonyms
from refbench.sharing.secrets import Secrets, search
from refbench.sharing.texts import cleaned, cleaned_json, without

NAMES = st.text(min_size=1, max_size=12)


@given(st.sets(NAMES, min_size=2, max_size=8), st.binary(min_size=32, max_size=32))
def test_every_name_has_its_own_pseudonym_that_only_the_salt_gives(names: set[str], salt: bytes) -> None:
    own = Pseudonyms(salt).subjects(names)
    assert len(set(own.values())) == len(names)
    assert all(PSEUDONYM.fullmatch(value) for value in own.values())
    assert own == Pseudonyms(salt).subjects(sorted(names))
    other = Pseudonyms(salt + b"x").subjects(names)
    assert not set(own.values()) & set(other.values())


@given(NAMES, NAMES, NAMES)
def test_parts_of_a_name_do_not_run_into_each_other(one: str, two: str, three: str) -> None:
    naming = Pseudonyms(bytes(32))
    assert naming.of("session", one + two, three) != naming.of("session", one, two + three)
    assert naming.of("subject", one) != naming.of("session", one)


def test_the_salt_of_a_store_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(store_pseudonyms(tmp_path).naming)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1
    assert [file.name for file in tmp_path.iterdir()] == [SALT]
    assert stat.S_IMODE((tmp_path / SALT).stat().st_mode) == 0o600
    (tmp_path / "other").mkdir()
    assert store_pseudonyms(tmp_path / "other").naming != made[0]


def test_a_salt_that_others_may_read_is_closed_and_a_damaged_one_refused(tmp_path: Path) -> None:
    store_pseudonyms(tmp_path)
    (tmp_path / SALT).chmod(0o644)
    store_pseudonyms(tmp_path)
    assert stat.S_IMODE((tmp_path / SALT).stat().st_mode) == 0o600
    for content in ("", "not hexadecimal", "ab"):
        (tmp_path / SALT).write_text(content)
        with pytest.raises(StoreError, match="salt of the pseudonyms"):
            store_pseudonyms(tmp_path)


# Texts


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("read from /home/jane/heads/T1.nii.gz, twice", "read from T1.nii.gz, twice"),
        (r"C:\Users\jane\heads and ~/x/y and ../z/w", "heads and y and w"),
        ("file:///srv/data/ixi", "ixi"),
        ("T1/T2 and 3 mm/s, 1/2", "T1/T2 and 3 mm/s, 1/2"),
        ("of IXI014 and ixi014-HH, not IXI0145", "of [left out] and [left out]-HH, not IXI0145"),
        ("blur(strength_mm=4)", "blur(strength_mm=4)"),
        ("tool(command=/opt/jane/run)", "tool(command=run)"),
    ],
)
def test_a_text_loses_names_and_folders_and_nothing_else(text: str, left: str) -> None:
    assert without(text, {"IXI014"}) == left


def test_values_that_are_paths_become_their_last_name() -> None:
    suite = {"ixi": {"path": "data/jane/IXI", "csv": "/a b/c d/IXI.xls"}, "command": ["/opt/x/tool", "{in}"], "n": 3}
    assert cleaned(suite, ()) == {"ixi": {"path": "IXI", "csv": "IXI.xls"}, "command": ["tool", "{in}"], "n": 3}
    assert cleaned_json('{"atlas":"/opt/x/atlas.gca"}', ()) == '{"atlas":"atlas.gca"}'


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="/\\"), max_size=20)


@given(WORDS, st.lists(st.from_regex(r"\A[a-z]{1,8}\Z"), min_size=1, max_size=4), WORDS)
def test_no_folder_survives(before: str, parts: list[str], after: str) -> None:
    folders = "".join(f"/{part}-folder" for part in parts)
    assert "-folder/" not in without(f"{before} {folders}/file {after}", ())


@given(WORDS, st.from_regex(r"\A[A-Z]{2,5}[0-9]{3,5}\Z"), WORDS)
def test_no_name_survives_as_a_word(before: str, name: str, after: str) -> None:
    left = without(f"{before} {name} {after}", {name}).replace("[left out]", "")
    assert not re.search(rf"(?<![^\W_]){name}(?![^\W_])", left, re.IGNORECASE)


# Search


def found(secret: str, content: str) -> bool:
    return bool(
        search({"f": content.encode()}, {"f": set(content.split("|"))}, Secrets(frozenset({secret}), frozenset()))
    )


@pytest.mark.parametrize(
    ("secret", "content", "there"),
    [
        ("IXI014", "\0\0IXI014\0", True),
        ("IXI014", "xixi0147", True),  # glued, but no pseudonym is so by chance
        ("abc123", "00abc12300", False),
        ("abc123", "00-ABC123-00", True),
        ("123456", "0.123456,", False),
        ("123456", "of 123456,", True),
        ("Smith", "Hammersmith", False),
        ("Smith", "of smith.", True),
        ("P01", "blur|of p01", True),
        ("P01", "blur|p012", False),
        ("7", "17|7 mm", False),
        ("7", "17|7", True),
        ("Zoë Müller", "by zoë müller", True),
    ],
)
def test_a_secret_is_found_as_its_length_allows(secret: str, content: str, there: bool) -> None:
    assert found(secret, content) == there


@given(st.binary(max_size=200), st.from_regex(r"\A[A-Z]{3}[0-9]{3}\Z"), st.binary(max_size=200))
def test_a_name_put_anywhere_is_found(before: bytes, name: str, after: bytes) -> None:
    content = before + b"\0" + name.encode() + b"\0" + after
    assert search({"f": content}, {"f": set()}, Secrets(frozenset({name}), frozenset()))
