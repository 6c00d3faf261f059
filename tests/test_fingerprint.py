import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refbench.fingerprint import canonical_json, code_fingerprint, digest, file_digest
from refbench.job import Job

PACKAGE = {
    "melting/__init__.py": "",
    "melting/melt.py": '''\
"""Melts."""

from melting.helpers.heat import warm


class Melt:
    """A plug-in."""

    degrees = 1.5

    def melt(self, x):
        """Melt it."""
        import melting.lazy
        return warm(x) + self.degrees  # up
''',
    "melting/helpers/__init__.py": "from .heat import warm\n",
    "melting/helpers/heat.py": "from . import deep\nfrom .. import constants\n\n\ndef warm(x):\n    return deep.f(x)\n",
    "melting/helpers/deep.py": "def f(x):\n    return x\n",
    "melting/constants.py": "ONE = 1\n",
    "melting/lazy.py": "import time\n",
    "melting/unrelated.py": "A = 1\n",
}

Fingerprint = Callable[..., str]


@pytest.fixture
def fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fingerprint:
    """Fingerprint of `melting.melt` after edits `path=(old, new)`; every version lies in a folder of its own."""
    count = 0

    def of(edits: dict[str, tuple[str, str]] | None = None, module: str = "melting.melt") -> str:
        nonlocal count
        count += 1
        folder = tmp_path / f"version{count}"
        for name, text in PACKAGE.items():
            old, new = (edits or {}).get(name, ("", ""))
            assert old in text
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text.replace(old, new, 1))
        with monkeypatch.context() as patch:
            patch.syspath_prepend(folder)
            importlib.invalidate_caches()
            code_fingerprint.cache_clear()
            result = code_fingerprint(module)
        code_fingerprint.cache_clear()
        return result

    return of


MELT = "melting/melt.py"


@pytest.mark.parametrize(
    "edit",
    [
        ("  # up", ""),
        ("  # up", "  # down, and some more"),
        ('"""Melts."""', '"""Melts it\n\nall."""'),
        ('    """A plug-in."""\n\n', ""),
        ('"""Melt it."""', '"""Other words."""'),
        ("warm(x) + self.degrees", "(\n            warm( x )\n            + self . degrees )"),
        ("1.5", "1.50"),
    ],
)
def test_comments_docstrings_and_formatting_change_nothing(fingerprint: Fingerprint, edit: tuple[str, str]) -> None:
    assert fingerprint({MELT: edit}) == fingerprint()


@pytest.mark.parametrize(
    ("path", "edit"),
    [
        (MELT, ("1.5", "1.6")),
        (MELT, ("1.5", '"1.5"')),
        (MELT, ("1.5", "None")),
        (MELT, ("+ self", "- self")),
        (MELT, ("degrees = ", "degree = ")),
        (MELT, ("    degrees = 1.5", "    degrees: float = 1.5")),
        ("melting/helpers/heat.py", ("deep.f(x)", "deep.f(-x)")),
        ("melting/helpers/deep.py", ("return x", "return x * 2")),
        ("melting/helpers/__init__.py", ("import warm\n", "import warm\nX = 1\n")),
        ("melting/constants.py", ("ONE = 1", "ONE = True")),
        ("melting/lazy.py", ("import time", "import time as t")),
    ],
)
def test_an_edit_changes_the_fingerprint_however_deep_it_is(
    fingerprint: Fingerprint, path: str, edit: tuple[str, str]
) -> None:
    assert fingerprint({path: edit}) != fingerprint()


def test_an_edit_elsewhere_in_the_package_changes_nothing(fingerprint: Fingerprint) -> None:
    assert fingerprint({"melting/unrelated.py": ("A = 1", "A = 2")}) == fingerprint()


def test_two_modules_differ(fingerprint: Fingerprint) -> None:
    assert fingerprint(module="melting.unrelated") != fingerprint(module="melting.constants")


def test_nothing_is_imported_to_be_read(fingerprint: Fingerprint) -> None:
    before = set(sys.modules)
    fingerprint({"melting/__init__.py": ("", "raise RuntimeError('imported')")})
    assert not {name for name in set(sys.modules) - before if name.startswith("melting")}


def test_fingerprints_of_all_built_in_plugins_import_no_heavy_module() -> None:
    program = (
        "import sys\n"
        "from refbench.fingerprint import code_fingerprint\n"
        "from refbench.registry import KINDS, Registry\n"
        "registry = Registry.discover()\n"
        "for kind in KINDS:\n"
        "    for entry in registry.of_kind(kind):\n"
        "        if entry.origin == 'refbench':\n"
        "            code_fingerprint(entry.entry_point.module)\n"
        "print({'torch', 'scipy', 'skimage', 'nibabel'} & set(sys.modules))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_a_module_that_does_not_exist_has_the_fingerprint_of_nothing(fingerprint: Fingerprint) -> None:
    assert fingerprint(module="melting.nowhere") == digest({})


# Digests of values


def test_canonical_json() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": "ü"}) == '{"a":"ü","b":[1,2.5,null]}'
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(float("nan"))


def test_a_digest_is_40_hexadecimal_digits_and_ignores_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len(digest(None)) == 40
    assert set(digest(None)) <= set("0123456789abcdef")


def test_names_that_are_no_utf_8_have_a_digest() -> None:
    assert digest("head\udcff.nii") != digest("head\udcfe.nii")


def test_a_file_is_known_by_its_bytes_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "a.nii", tmp_path / "b.nii"
    first.write_bytes(b"abc")
    second.write_bytes(b"abc")
    # SHA-256 of "abc", FIPS 180-2 appendix B.1
    assert file_digest(first) == file_digest(second) == "ba7816bf8f01cfea414140de5dae2223b00361a3"
    second.write_bytes(b"abd")
    assert file_digest(first) != file_digest(second)


# Keys of jobs

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
identities = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    min_size=1,
    max_size=5,
)


def _changed(value: Any, data: st.DataObject) -> Any:
    """The same value with one leaf replaced, somewhere."""
    if isinstance(value, dict) and value:
        key = data.draw(st.sampled_from(sorted(value)))
        return value | {key: _changed(value[key], data)}
    if isinstance(value, list) and value:
        index = data.draw(st.integers(0, len(value) - 1))
        return [*value[:index], _changed(value[index], data), *value[index + 1 :]]
    # JSON tells 1 from true and from 1.0; Python's == does not.
    return data.draw(leaves.filter(lambda other: repr(other) != repr(value)))


@given(identities, st.data())
def test_changing_any_leaf_of_a_jobs_identity_changes_its_key(identity: dict[str, Any], data: st.DataObject) -> None:
    assert Job("train", "x", _changed(identity, data)).key != Job("train", "x", identity).key


@given(identities, st.data())
def test_a_leaf_more_or_less_changes_the_key(identity: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(identity)))
    less = {name: value for name, value in identity.items() if name != key}
    assert Job("train", "x", less).key != Job("train", "x", identity).key


@given(identities)
def test_the_kind_is_part_of_the_key_whatever_the_identity_holds(identity: dict[str, Any]) -> None:
    for own in (identity, identity | {"kind": "x"}):
        assert Job("train", "x", own).key != Job("score", "x", own).key


@given(identities)
def test_labels_needs_and_paths_are_not_part_of_the_key(identity: dict[str, Any]) -> None:
    bare = Job("head", "one", identity)
    assert Job("head", "two", identity, needs=("a",), where={"files": ["/elsewhere"]}).key == bare.key
