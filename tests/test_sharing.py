"""Runs given away: what a bundle holds and what not, whether it is what it says, bundles ranked together."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Workplace

from refbench.errors import RefbenchError
from refbench.leaderboard import build_leaderboard, default_view
from refbench.results import Run, load_run
from refbench.sharing import bundle
from refbench.sharing.export import export, shared_board
from refbench.sharing.pseudonyms import SALT
from refbench.sharing.read import open_runs, read_bundle
from refbench.sharing.tables import parquet_bytes, read_parquet
from refbench.sharing.verify import verify


@pytest.fixture(scope="module")
def place(tiny_run: Workplace) -> Workplace:
    return tiny_run


@pytest.fixture(scope="module")
def run(place: Workplace) -> Run:
    return load_run(place.run_folder())


@pytest.fixture(scope="module")
def packed(place: Workplace, run: Run) -> Path:
    target = place.folder / "tiny.zip"
    export(run, target, place.folder / "store")
    return target


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# What it holds


def test_a_bundle_has_all_scores_and_the_table_of_the_run(run: Run, packed: Path) -> None:
    shared = read_bundle(packed)
    assert shared.differences == ()
    assert list(contents(packed)) == [bundle.MANIFEST, *bundle.FILES]
    place = ["anonymizer", "attacker", "seed", "condition", "region", "metric", "site", "slice", "value"]
    before, after = (scores[place].sort_values(place, ignore_index=True) for scores in (run.scores, shared.run.scores))
    pd.testing.assert_frame_equal(before, after, check_exact=True)
    names = ["rank", "anonymizer", "attacker", "subjects", "scans", "failed", "missing"]
    before, after = (shared_board(one).rows for one in (run, shared.run))
    pd.testing.assert_frame_equal(before[names], after[names])
    means = [name for name in before if name.endswith(("_all", "_median"))]
    pd.testing.assert_frame_equal(before[means], after[means])


def test_a_bundle_names_nobody_and_no_place(place: Workplace, run: Run, packed: Path) -> None:
    everything = b"\0".join((name.encode() + b"\0" + content) for name, content in contents(packed).items())
    everything += packed.read_bytes()
    for secret in {*run.subjects["subject"], str(place.folder), place.folder.name}:
        assert secret.encode() not in everything, secret
    told = json.loads(contents(packed)["provenance.json"])
    assert told["description"] == "made of heads by [left out]"  # in the suite: of its folder, by T03
    assert place.run_folder().name not in everything.decode("latin-1"), "its hash would tell a guessed folder"
    assert (place.folder / "store" / SALT).read_bytes() not in everything
    suite = contents(packed)["suite.yaml"].decode()
    assert "- tiny_plugins.py" in suite
    assert str(place.folder) not in suite


def test_nothing_in_a_bundle_follows_the_order_of_names(packed: Path) -> None:
    shared = read_bundle(packed).run
    assert shared.subjects["subject"].is_monotonic_increasing
    first = shared.scores.drop_duplicates(["site", "subject"])[["site", "subject"]]
    assert first.equals(first.sort_values(["site", "subject"]))


def test_the_same_run_gives_the_same_bytes_and_another_store_other_pseudonyms(
    run: Run, packed: Path, tmp_path: Path, place: Workplace
) -> None:
    export(run, tmp_path / "again.zip", place.folder / "store")
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()
    export(run, tmp_path / "other.zip", tmp_path)
    one, other = (read_bundle(path).run for path in (packed, tmp_path / "other.zip"))
    assert not set(one.subjects["subject"]) & set(other.subjects["subject"])
    assert one.info["pseudonyms"] != other.info["pseudonyms"]
    with zipfile.ZipFile(packed) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_messages_that_name_people_stay_out(run: Run, tmp_path: Path) -> None:
    told = replace(
        run,
        cells=run.cells.assign(error="T03: cannot read /home/jane/T03.nii.gz"),
        subjects=run.subjects.assign(note="the nose of T03"),
        info=run.info | {"notes": ["T03 came twice", "2 subjects left out: no T1"]},
    )
    export(told, tmp_path / "b.zip", tmp_path)
    shared = read_bundle(tmp_path / "b.zip").run
    assert shared.info["notes"] == ["[left out] came twice", "2 subjects left out: no T1"]
    assert b"jane" not in b"".join(contents(tmp_path / "b.zip").values())


def named(run: Run, names: Callable[[str], str]) -> Run:
    scores, subjects = (
        table.assign(subject=table["subject"].map(names), session="visit-2019") for table in (run.scores, run.subjects)
    )
    return replace(run, scores=scores, subjects=subjects)


@pytest.mark.parametrize(
    "names", [lambda name: f"Doe^{name}", lambda name: name[1:], lambda name: f"test-{name}", lambda name: name[-1]]
)
def test_people_may_be_called_anything(run: Run, tmp_path: Path, names: Callable[[str], str]) -> None:
    called = named(run, names)
    export(called, tmp_path / "b.zip", tmp_path)
    assert verify(tmp_path / "b.zip").differences == ()
    texts = b"".join(contents(tmp_path / "b.zip").values())
    assert b"Doe^" not in texts
    assert b"visit-2019" not in texts


@pytest.mark.parametrize("site", ["clinic of Doe-T03", "Doe-T03"])
def test_nothing_is_written_if_a_site_names_a_person(run: Run, tmp_path: Path, site: str) -> None:
    odd = replace(run, scores=run.scores.assign(site=site), subjects=run.subjects.assign(site=site))
    with pytest.raises(RefbenchError, match=r"nothing was written: the bundle would name people(.|\n)*csv: Doe-T03"):
        export(named(odd, lambda name: f"Doe-{name}"), tmp_path / "b.zip", tmp_path)
    assert not (tmp_path / "b.zip").exists()


# Verification


def mended(path: Path, target: Path, **changed: bytes) -> Path:
    """A bundle with other contents and a manifest that fits them."""
    files = {name: content for name, content in contents(path).items() if name != bundle.MANIFEST}
    target.write_bytes(bundle.pack(files | {name.replace("_", "."): content for name, content in changed.items()}))
    return target


def raw(path: Path, target: Path, **changed: bytes | None) -> Path:
    """A bundle with other contents and the manifest as it was."""
    files = contents(path) | {name.replace("_", "."): content for name, content in changed.items()}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(name, content)
    return target


def test_a_bundle_is_what_it_says(place: Workplace, packed: Path) -> None:
    done = place.refbench("verify", packed)
    assert done.returncode == 0, done.stderr
    for part in ("all files against the SHA-256", "8 people: all under pseudonyms", "2 rows", "is what it says"):
        assert part in done.stdout


def changed_scores(path: Path, by: float) -> bytes:
    scores = read_parquet(contents(path)["scores.parquet"], "scores.parquet")
    defined = scores.index[
        scores["value"].notna() & (scores["region"] == "front_half") & (scores["attacker"] == "offset")
    ]
    scores.loc[defined[0], "value"] += by
    return parquet_bytes(scores, "scores.parquet")


def test_a_changed_score_is_found_by_its_hash_and_behind_a_mended_hash_by_the_table(
    place: Workplace, packed: Path, tmp_path: Path
) -> None:
    scores = changed_scores(packed, 1e-3)
    plain = verify(raw(packed, tmp_path / "a.zip", scores_parquet=scores))
    assert any("scores.parquet is not what the manifest says" in text for text in plain.differences)
    done = place.refbench("verify", mended(packed, tmp_path / "b.zip", scores_parquet=scores))
    assert done.returncode == 1
    assert "smear, offset seed 0: reconstructed_correlation_front_half_A" in done.stderr
    assert "(by 0.000" in done.stderr
    assert "do not quote its figures" in done.stderr


def test_a_changed_table_is_found_with_its_place_and_size(packed: Path, tmp_path: Path) -> None:
    table = json.loads(contents(packed)["leaderboard.json"])
    table["rows"][0]["reconstructed_ssim_front_half_all"] += 0.25
    table["rows"][1]["rank"] = 1
    found = verify(mended(packed, tmp_path / "b.zip", leaderboard_json=json.dumps(table).encode()))
    assert any(
        "reconstructed_ssim_front_half_all is " in text and "(by 0.250000)" in text for text in found.differences
    )
    assert any("rank is 1, computed None" in text for text in found.differences)
    assert len(found.differences) == 2


def test_every_flipped_byte_is_found(packed: Path, tmp_path: Path) -> None:
    content = packed.read_bytes()
    with zipfile.ZipFile(packed) as archive:
        data = [
            (info.filename, info.header_offset + 30 + len(info.filename), info.compress_size)
            for info in archive.infolist()
        ]
    rng = np.random.default_rng(0)
    for name, start, size in data:
        place = start + int(rng.integers(size))
        flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        (tmp_path / "b.zip").write_bytes(flipped)
        if name == bundle.MANIFEST:
            with pytest.raises(RefbenchError):
                verify(tmp_path / "b.zip")
        else:
            assert any(name in text for text in verify(tmp_path / "b.zip").differences), name


@pytest.mark.parametrize("name", ["faces.nii.gz", "../outside.txt", "/etc/passwd"])
def test_a_file_that_was_added_is_found_and_never_unpacked(packed: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(packed, tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "a") as archive:
        archive.writestr(name, b"hidden")
    found = verify(tmp_path / "b.zip").differences
    assert found == (f"{name!r} is in the bundle and not in its manifest",)
    with pytest.raises(RefbenchError, match="was changed"):
        open_runs(tmp_path, [str(tmp_path / "b.zip")])


def test_a_file_that_was_taken_out_is_found(place: Workplace, packed: Path, tmp_path: Path) -> None:
    done = place.refbench("verify", raw(packed, tmp_path / "b.zip", suite_yaml=None))
    assert (done.returncode, "suite.yaml is missing" in done.stderr) == (1, True)


def test_a_name_put_back_is_found_and_not_repeated(packed: Path, tmp_path: Path) -> None:
    subjects = contents(packed)["subjects.csv"].decode()
    pseudonym = read_bundle(packed).run.subjects["subject"].iloc[0]
    changed = subjects.replace(pseudonym, "IXI014").encode()
    found = verify(mended(packed, tmp_path / "b.zip", subjects_csv=changed)).differences
    assert "subjects.csv: 1 subject(s) stand there under what is no pseudonym" in found
    assert not any("IXI014" in text for text in found)


def hidden_after_the_end(packed: Path, target: Path) -> Path:
    shutil.copy(packed, target)
    with zipfile.ZipFile(target, "a") as archive:
        archive.comment = b"IXI014 is the first"
    return target


def test_a_comment_of_the_zip_is_found(packed: Path, tmp_path: Path) -> None:
    found = verify(hidden_after_the_end(packed, tmp_path / "b.zip")).differences
    assert found == ("the ZIP carries comments or extra fields, which no manifest covers",)


# Hostile files


def manifest(**sizes: int) -> bytes:
    entry = {"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    return json.dumps(
        {"format": 1, "files": {name: entry | {"bytes": sizes.get(name, 0)} for name in bundle.FILES}}
    ).encode()


def a_bomb(target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", manifest())
        archive.writestr("scores.parquet", bytes(50_000_000))


def a_bomb_that_is_announced(target: Path) -> None:
    files = {name: {"bytes": 1 << 30, "sha256": "0" * 64} for name in bundle.FILES}
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("manifest.json", json.dumps({"format": 1, "files": files}))


def a_large_manifest(target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * 1_000_000 + manifest())


def another_packing(target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("manifest.json", manifest())


def two_of_one_name(target: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("manifest.json", manifest())
        archive.writestr("manifest.json", manifest())


def another_format(target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("manifest.json", manifest().replace(b'"format": 1', b'"format": 2'))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (a_bomb, "larger than the manifest says"),
        (a_bomb_that_is_announced, "would unpack to more than 1024 MiB"),
        (a_large_manifest, "larger than the manifest says"),
        (another_packing, "packed in a way that bundles never are"),
        (two_of_one_name, "two files of one name"),
        (another_format, "its manifest is none of this version of refbench: format"),
        (lambda target: target.write_bytes(b"PK no zip"), "no bundle, or a damaged one"),
        (lambda target: None, "cannot be read"),
    ],
)
def test_what_is_no_bundle_is_not_read(tmp_path: Path, made: Callable[[Path], None], words: str) -> None:
    made(tmp_path / "b.zip")
    with pytest.raises(RefbenchError, match=words):
        verify(tmp_path / "b.zip")


def test_what_cannot_be_read_has_an_exit_code_of_its_own(place: Workplace) -> None:
    done = place.refbench("verify", "nowhere.zip")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def parquet(table: pa.Table, **options: object) -> bytes:
    written = io.BytesIO()
    pq.write_table(table, written, **options)
    return written.getvalue()


def test_tables_of_another_kind_are_not_read(packed: Path, tmp_path: Path) -> None:
    content = contents(packed)["scores.parquet"]
    table = pq.read_table(io.BytesIO(content))
    for odd in (
        parquet(table, compression="zstd"),
        parquet(table.replace_schema_metadata({"made by": "T03"}), compression="none"),
        parquet(table.drop_columns(["site"]), compression="none"),
        parquet(pa.Table.from_pandas(table.to_pandas().assign(value="high")), compression="none"),
        b"PAR1 and nothing more",
    ):
        found = verify(mended(packed, tmp_path / "b.zip", scores_parquet=odd)).differences
        assert any(text.startswith("scores.parquet") for text in found), found
    cells = contents(packed)["cells.csv"]
    for odd in (cells.replace(b"status", b"state"), b"", b"\xff\xfe", cells.replace(b",0,", b",many,")):
        found = verify(mended(packed, tmp_path / "b.zip", cells_csv=odd)).differences
        assert any("cells.csv" in text for text in found), found
    for odd in (b"{}", b"[", b"null"):
        assert verify(mended(packed, tmp_path / "b.zip", provenance_json=odd)).differences
        assert verify(mended(packed, tmp_path / "b.zip", leaderboard_json=odd)).differences


# Bundles ranked together


@pytest.mark.slow
def test_bundles_of_two_machines_are_ranked_together(place: Workplace, packed: Path, tmp_path: Path) -> None:
    other = Workplace(tmp_path)
    assert (
        other.refbench(
            "run",
            other.suite("{anonymizers: [smear: {reach: 4}], attackers: [none, offset], metrics: [correlation, ssim]}"),
        ).returncode
        == 0
    )
    assert other.refbench("export", "--out", "more.zip", "--by", "Another lab").returncode == 0
    one, two = packed, tmp_path / "more.zip"
    assert read_bundle(two).provenance.by == "Another lab"
    done = place.refbench("leaderboard", one, two, "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert {row["anonymizer"] for row in rows} == {"smear", "smear(reach=4)"}
    assert {row["subjects"] for row in rows} == {2}
    runs = open_runs(tmp_path, [str(one), str(two)])
    alone = build_leaderboard(runs[:1], default_view(runs[0])).rows.set_index("anonymizer")
    both = build_leaderboard(runs, default_view(runs[0])).rows.set_index("anonymizer")
    figures = [
        name for name in alone if name.startswith(("anonymized_", "reconstructed_")) and not name.endswith("params")
    ]
    np.testing.assert_allclose(
        both.loc["smear", figures].astype(float), alone.loc["smear", figures].astype(float), atol=1e-12
    )


def test_a_bundle_and_its_own_run_are_one(place: Workplace, packed: Path, run: Run) -> None:
    together = build_leaderboard([run, read_bundle(packed).run], default_view(run))
    pd.testing.assert_frame_equal(together.rows, build_leaderboard([run], default_view(run)).rows)
