"""What figures are drawn of: a run without controls, and without what fails them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from made_up_runs import made_up_faces, made_up_run

from refbench.baseline import baseline_of
from refbench.believed import believed


def test_controls_and_who_fails_them_are_left_out_of_every_table(tmp_path: Path) -> None:
    plain = made_up_run(tmp_path / "made_up-12345678", anonymizers=("identity", "veil"))
    kept = plain.scores["anonymizer"].eq("identity") & plain.scores["attacker"].ne("weak(steps=5)")
    plain.scores.loc[kept, "value"] = 1.0
    cells = plain.cells.assign(learner=plain.cells["attacker"], floor=plain.cells["attacker"].eq("none"))
    cells["control"] = cells["anonymizer"].where(cells["anonymizer"] == "identity", "")
    run = made_up_faces(
        replace(plain, cells=cells), recognized=dict.fromkeys(["", "none", "weak(steps=5)", "strong(steps=50)"], 1.0)
    )
    found = believed(run)
    for table in (found.scores, found.cells, found.identification, found.heads):
        assert "weak(steps=5)" not in set(table["attacker"])
        assert "strong(steps=50)" in set(table["attacker"])
    about = {"dataset": "d", "slices": {}, "split": {"digest": "s"}, "environment": {"python": "3", "packages": {}}}
    told = baseline_of(replace(run, info=run.info | about), "front_half")
    rows = {(row.anonymizer, row.attacker) for row in told.rows}
    assert ("veil", "weak(steps=5)") not in rows
    assert ("veil", "strong(steps=50)") in rows


def test_a_run_without_controls_is_as_it_was(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "made_up-12345678")
    assert believed(run) is run
