"""What `refbench plan` says of disk and time before, and after, anything has run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Workplace

from refbench.commands.plan import estimate_lines
from refbench.engines.options import EngineOptions
from refbench.explain import explain
from refbench.forecast.estimate import Estimate, Expected, estimate
from refbench.forecast.outlook import Left
from refbench.job import Job
from refbench.plan import Plan, build_plan
from refbench.run_status import write_plan
from refbench.store import Store
from refbench.suite import load_suite
from refbench.units import duration


def plan(workplace: Workplace, text: str) -> tuple[Plan, Store]:
    store = Store(workplace.folder / "store")
    return build_plan(load_suite(str(workplace.suite(text))), store), store


def by_kind(plan: Plan, store: Store) -> dict[str, Expected]:
    return {item.what: item for item in estimate(plan, store, explain(plan, store)).expected}


def test_before_anything_has_run_the_options_tell_what_slices_will_take(workplace: Workplace) -> None:
    laid_out, store = plan(workplace, "dataset: {tiny_heads: {people: 20}}\nattackers: [pix2pix: {budget_minutes: 2}]")
    found = by_kind(laid_out, store)
    pixels = 3 * 24 * 24
    assert found["slice smear"] == Expected("slice smear", 20, 20 * pixels * (4 + 4 + 1 + 1), None)
    assert found["head"] == Expected("head", 20, None, None)
    (cell,) = laid_out.cells
    (label,) = (chosen.label for chosen in laid_out.suite.attackers)
    assert found[f"train {label}"].seconds == 120
    assert found[f"reconstruct {label}"].disk == len(cell.reconstruct.identity["test"]) * pixels * 4
    bytes_, _ = plan(workplace, "dataset: {tiny_heads: {people: 20}}\nslices: {count: 3, size: 24, storage: uint8}")
    assert by_kind(bytes_, store)["slice smear"].disk == 20 * pixels * 4


def test_what_is_known_comes_from_jobs_that_have_ended(workplace: Workplace) -> None:
    laid_out, store = plan(workplace, "dataset: {tiny_heads: {people: 10}}")
    for number, scan in enumerate(laid_out.scans[:2]):
        result = store.scratch(scan.head.key) / "result"
        result.mkdir(parents=True)
        (result / "voxels.npy").write_bytes(bytes(100_000))
        store.commit(scan.head, result, {"status": "ok", "seconds": 2.0 + number})
    store.fail(laid_out.scans[2].head.key, {"status": "failed", "label": "head", "error": "no", "seconds": 9.0})
    head = by_kind(laid_out, store)["head"]
    assert (head.jobs, head.seconds) == (7, 7 * 2.5)
    assert 7 * 100_000 < (head.disk or 0) < 7 * 102_000


def test_what_is_tried_again_counts_as_what_never_ran(workplace: Workplace) -> None:
    laid_out, store = plan(workplace, "dataset: {tiny_heads: {people: 6}}")
    before = by_kind(laid_out, store)
    for job in laid_out.jobs():
        store.fail(job.key, {"status": "cancelled", "label": job.label, "error": "", "seconds": 1.0})
    assert by_kind(laid_out, store) == before


@pytest.mark.slow
def test_a_trial_prepares_one_subject_and_its_results_are_kept(workplace: Workplace) -> None:
    suite = workplace.suite("dataset: {tiny_heads: {people: 6}}")
    first = workplace.refbench("plan", suite).stdout
    assert "--trial` prepares one subject" in first
    assert workplace.count("load") == 0
    tried = workplace.refbench("plan", suite, "--trial").stdout
    assert workplace.count("load") == 1
    assert "--trial" not in tried
    head = next(line for line in tried.splitlines() if line.startswith("head "))
    assert head.split()[1] == "5"
    assert "not known" not in head
    assert next(line for line in tried.splitlines() if line.startswith("train ")).count("not known") == 2
    workplace.refbench("plan", suite, "--trial")
    assert workplace.count("load") == 1


@pytest.mark.slow
def test_after_a_run_nothing_is_left_to_estimate(workplace: Workplace) -> None:
    suite = workplace.suite("")
    assert workplace.refbench("run", suite).returncode == 0
    said = workplace.refbench("plan", suite).stdout
    assert "0 to run" in said
    assert "disk:" not in said


def _estimate(**changed: Any) -> Estimate:
    found = Estimate(
        expected=(Expected("head", 10, 3e9, 7200.0, 12, "12 records"), Expected("train pix2pix", 2, None, None)),
        left=Left(1800.0, True),
        waits_for_others=False,
        side_by_side=4,
        records=12,
        gpu_seconds=None,
        free=int(2e9),
        training_memory=500_000,
    )
    return replace(found, **changed)


def test_a_full_disk_and_what_is_missing_are_said_in_plain_words() -> None:
    lines = estimate_lines(_estimate(), "demo")
    assert "disk: at least 3.0 GB; free there are 2.0 GB: too little" in "\n".join(lines)
    assert "time: at least 2.0 h one job after another, 30.0 min with up to 4 side by side" in lines
    assert "estimated from 12 records of such jobs in this store, their medians" in lines
    assert "no record yet of: train pix2pix" in lines
    assert not any("--trial" in line or "GPU" in line for line in lines)


def test_clusters_and_graphics_cards_are_told_apart() -> None:
    slurm = estimate_lines(_estimate(waits_for_others=True, gpu_seconds=36000.0), "demo")
    assert any(line.endswith("with up to 4 side by side, once tasks do not wait for others'") for line in slurm)
    assert "graphics cards: at least 10 GPU hours of it" in slurm
    dask = estimate_lines(_estimate(side_by_side=None), "demo")
    assert any(line.endswith("divide by the jobs that your cluster runs side by side") for line in dask)


NETWORKS = "attackers: [none, pix2pix: {epochs: 10, width: 8}]\n"
COHORT = "dataset: {tiny_heads: {people: 10}}\n"


def _done(store: Store, job: Job, seconds: float, device: str = "cpu") -> None:
    result = store.scratch(job.key) / "result"
    result.mkdir(parents=True)
    (result / "content").write_bytes(bytes(5000))
    store.commit(job, result, {"status": "ok", "label": job.label, "seconds": seconds, "device": device})


def _earlier_run(workplace: Workplace, text: str, device: str = "cpu") -> Plan:
    """A run whose jobs all took three seconds, its trainings a hundred."""
    laid_out, store = plan(workplace, text)
    for job in laid_out.jobs():
        _done(store, job, 100.0 if job.kind == "train" else 3.0, device)
    write_plan(laid_out, store, 0.0, EngineOptions.model_validate("local"), 2)
    return laid_out


def test_earlier_runs_tell_and_trainings_are_scaled_with_people_and_epochs(workplace: Workplace) -> None:
    _earlier_run(workplace, COHORT + NETWORKS)
    later = "dataset: {tiny_heads: {people: 17}}\nseed: 3\n" + NETWORKS.replace("10", "25")
    laid_out, store = plan(workplace, later + "anonymizers: [smear, smear: {reach: 5}, blank]")
    found = by_kind(laid_out, store)
    assert (found["head"].jobs, found["head"].seconds, found["head"].note) == (7, 21.0, "10 records")
    assert found["anonymize smear(reach=5)"].note == "10 records, other parameters"
    assert found["anonymize blank"].seconds is None
    training = found["train pix2pix(epochs=25, width=8)"]
    assert training.seconds == pytest.approx(3 * 100 * (25 / 10) * (14 / 7))
    assert training.note == "1 record, scaled × 5"
    other, _ = plan(workplace, "seed: 3\nattackers: [pix2pix: {width: 16}]")
    assert by_kind(other, store)["train pix2pix(width=16)"].seconds is None, "another network tells nothing"


def test_what_ran_on_graphics_cards_counts_in_gpu_hours_and_tells_little_of_processors(workplace: Workplace) -> None:
    _earlier_run(workplace, COHORT + NETWORKS, "cuda:0")
    laid_out, store = plan(workplace, COHORT + "seed: 3\n" + NETWORKS)
    reasons = explain(laid_out, store)
    here = estimate(laid_out, store, reasons)
    assert here.gpu_seconds is None
    (training,) = (one for one in here.expected if one.what.startswith("train pix2pix"))
    assert training.note == "1 record, on cuda"
    there = estimate(laid_out, store, reasons, EngineOptions.model_validate({"slurm": {"bundle": 2, "parallel": 3}}))
    assert there.gpu_seconds == 103.0
    assert (there.side_by_side, there.waits_for_others) == (3, True)
    assert estimate(laid_out, store, reasons, EngineOptions.model_validate("dask")).side_by_side is None


def test_a_damaged_list_of_an_earlier_run_tells_nothing(workplace: Workplace) -> None:
    _earlier_run(workplace, COHORT)
    laid_out, store = plan(workplace, "seed: 3")
    assert by_kind(laid_out, store)["anonymize smear"].seconds == 24.0
    (listed,) = store.root.glob("runs/*/plan.json")
    for text in ("{", '{"jobs": {}}', '{"jobs": {"a": [1]}, "groups": []}', "[]"):
        listed.write_text(text)
        assert by_kind(laid_out, store)["anonymize smear"].seconds is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5 s"), (119, "119.0 s"), (120, "2.0 min"), (8000, "2.2 h"), (2e5, "2.3 days")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_size_of_ixi_is_planned_without_a_volume(workplace: Workplace) -> None:
    folder = workplace.folder / "IXI-T1"
    folder.mkdir()
    for number in range(581):
        site = ("Guys", "HH", "IOP")[number % 3]
        (folder / f"IXI{number + 2:03d}-{site}-{800 + number:04d}-T1.nii.gz").write_bytes(b"no volume %d" % number)
    text = Path(load_suite("ixi").path).read_text().replace("../data/IXI-T1", str(folder))
    (workplace.folder / "ixi.yaml").write_text(text)
    store = Store(workplace.folder / "store")
    laid_out = build_plan(load_suite(str(workplace.folder / "ixi.yaml")), store)
    found = by_kind(laid_out, store)
    assert found["head"].jobs == 581
    assert found["slice blank"].disk == 581 * 21 * 256 * 256 * 10
