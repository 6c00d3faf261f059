"""What `refbench plan` says of disk and time before, and after, anything has run."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Workplace

from refbench.commands.plan import duration, estimate_lines
from refbench.estimate import Estimate, Expected, estimate
from refbench.explain import explain
from refbench.plan import Plan, build_plan
from refbench.store import Store
from refbench.suite import load_suite


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


def test_a_full_disk_and_what_is_missing_are_said_in_plain_words() -> None:
    found = Estimate((Expected("head", 10, 3e9, 7200.0), Expected("train pix2pix", 2, None, None)), int(2e9), 500_000)
    lines = estimate_lines(found, "demo", slots=4)
    assert "disk: at least 3.0 GB; free there are 2.0 GB: too little" in "\n".join(lines)
    assert "time: at least 2.0 h one job after another, 30.0 min with 4 side by side" in lines
    assert not any("--trial" in line for line in lines)


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
