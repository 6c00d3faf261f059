"""Planted leaks: each is refused, or the tables tell of it.

One head, or one person, in two parts of the split: `test_plan.py`, `test_split.py`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Workplace
from face_plugins import PlainRelief
from leaking_plugins import Blind, Diagonal
from made_up_runs import made_up_run

from refbench import render
from refbench import testing_metrics as metrics
from refbench.caveats import blind_metrics, metric_notes
from refbench.datasets.base import Scan
from refbench.datasets.folder import Folder
from refbench.fingerprint import digest
from refbench.guard import LeakError, guarded
from refbench.job import Job
from refbench.jobs import identify, recognize
from refbench.jobs.task import Task
from refbench.leaderboard import View, build_leaderboard
from refbench.leaks import places_of
from refbench.metrics.recognizers.base import Recognizer
from refbench.metrics.recognizers.grid import COLUMNS, ROWS
from refbench.preparation import PreparedScan
from refbench.results import load_run
from refbench.store import Store, write_atomically
from refbench.testing import check

TESTS = Path(__file__).parent
SUITE = f"""
plugins: [{TESTS / "tiny_plugins.py"}, {TESTS / "leaking_plugins.py"}]
dataset: {{tiny_heads: {{people: 3}}}}
slices: {{count: 3, size: 24, spacing_mm: 8, scale: original}}
split: {{test: 1, validation: 1}}
attackers:
- offset
- leak: {{at: [walk to learn, walk to attack], quiet: true}}
- leak: {{at: [read beside, look at the mask, write]}}
- leak: {{at: look at the mask, region: known}}
"""
ENDS = {
    "offset": "",
    "leak(at=walk to learn, quiet=True)": "leak opened the store itself: an attacker may read only what it is given",
    "leak(at=walk to attack, quiet=True)": "leak opened the store itself: an attacker may read only what it is given",
    "leak(at=read beside)": "/original.npy in the store: an attacker may read only what it is given",
    "leak(at=look at the mask)": "/changed.npy in the store: an attacker may read only what it is given",
    "leak(at=write)": "/original.npy in the store: an attacker may read only what it is given, and write into its own",
    "leak(at=look at the mask, region=known)": "",
}


@pytest.mark.slow
def test_an_attacker_that_reads_the_store_fails_and_an_honest_one_does_not(workplace: Workplace) -> None:
    """Whether it lets the refusal end it or goes on as if nothing had been."""
    done = workplace.refbench("run", workplace.suite(SUITE))
    assert done.returncode == 3
    assert "Traceback" not in done.stdout + done.stderr
    run = load_run(workplace.run_folder())
    cells = run.cells.set_index("attacker")
    assert list(cells.index) == list(ENDS)
    for attacker, said in ENDS.items():
        assert cells.loc[attacker, "status"] == ("failed" if said else "ok")
        assert said in cells.loc[attacker, "error"]
    assert "leak wrote to objects/" in cells.loc["leak(at=write)", "error"]
    board = build_leaderboard([run], View())
    for told in (done.stdout, render.to_json(board), render.to_markdown(board)):
        assert "attackers were told one number of the original of every scan" in told


@pytest.mark.slow
def test_one_head_in_two_files_that_differ_stops_the_run_before_anybody_learns(workplace: Workplace) -> None:
    (workplace.folder / "scans").mkdir()
    for name, text in {"a": "1", "b": "2", "c": "1 under another header"}.items():
        (workplace.folder / "scans" / name).write_text(text)
    (workplace.folder / "split.csv").write_text("subject,part\na,train\nb,validation\nc,test\n")
    suite = workplace.suite(
        f"{{plugins: [{TESTS / 'tiny_plugins.py'}, {TESTS / 'leaking_plugins.py'}], dataset: {{head_files: "
        "{path: scans}}, split: {method: csv, csv: split.csv}}"
    )
    done = workplace.refbench("run", suite)
    assert done.returncode == 2
    assert "(subject a, train) and" in done.stderr
    assert "(subject c, test) hold the same voxels, in two parts of the split" in done.stderr.replace("\n", " ")
    assert not workplace.count("fit")


def _attack(store: Store, *, region: str = "estimated", where: dict[str, object] | None = None) -> Job:
    """A job `reconstruct` whose inputs are in the store."""
    about = {"name": "mine", "params": {"region": region}}
    for key, files in (("model", ["model/net.npz", "losses.json"]), ("test", ["anonymized.npy", "original.npy"])):
        for file in (*files, "job.json"):
            path = store.folder(key) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("what it holds")
    identity = {"attacker": about, "trained": "model", "test": ["test"]}
    return Job("reconstruct", "reconstruct mine", identity, ("model", "test"), where or {})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def scratch(store: Store) -> Path:
    folder = store.scratch("mine")
    folder.mkdir()
    return folder


def _by_a_link(store: Store, scratch: Path) -> None:
    (scratch / "link").symlink_to(store.folder("test"))
    (scratch / "link/original.npy").read_text()


def _by_another_name(store: Store, scratch: Path) -> None:
    (scratch / "name").hardlink_to(store.folder("test") / "original.npy")


def _by_moving_it(store: Store, scratch: Path) -> None:
    (store.folder("test") / "original.npy").rename(scratch / "mine.npy")


def _by_a_descriptor(store: Store, scratch: Path) -> None:
    os.close(os.open(store.folder("test") / "original.npy", os.O_RDONLY))


FORBIDDEN: dict[str, Callable[[Store, Path], object]] = {
    "opened objects/te/test/original.npy": lambda store, _: (store.folder("test") / "original.npy").read_bytes(),
    "opened objects/te/test in": lambda store, _: list(store.folder("test").iterdir()),
    "opened objects in": lambda store, _: list(os.scandir(store.root / "objects")),
    "opened the store itself": lambda store, _: list(os.walk(store.root, onerror=print)),
    "opened objects/mo/model/job.json": lambda store, _: (store.folder("model") / "job.json").open(),
    "wrote to objects/te/test/anonymized.npy": lambda store, _: (store.folder("test") / "anonymized.npy").open("a"),
    "wrote to objects/mo/model/model/net.npz": lambda store, _: (store.folder("model") / "model/net.npz").unlink(),
    "wrote to runs/new": lambda store, _: (store.root / "runs/new").mkdir(),
    "opened objects/te/test/original.npy in": _by_a_link,
    "wrote to objects/te/test/original.npy": _by_another_name,
    "wrote to objects/te/test/original.npy in": _by_moving_it,
    "opened objects/te/test/original.npy in the": _by_a_descriptor,
}


@pytest.mark.parametrize(("said", "reach"), FORBIDDEN.items())
def test_an_attack_is_kept_from(said: str, reach: Callable[[Store, Path], object], store: Store, scratch: Path) -> None:
    with pytest.raises(LeakError, match=said), guarded(_attack(store), store, scratch):
        reach(store, scratch)


def test_a_refusal_that_was_swallowed_is_told_at_the_end(store: Store, scratch: Path) -> None:
    attack = _attack(store)

    def read_what_it_can() -> None:
        for name in ("original.npy", "job.json"):
            with contextlib.suppress(Exception):
                (store.folder("test") / name).read_text()

    with pytest.raises(LeakError, match="mine opened objects/te/test/original"), guarded(attack, store, scratch):
        read_what_it_can()
    (store.folder("test") / "original.npy").read_text()  # the harness may, afterwards


def test_an_attack_may_open_what_it_is_given(store: Store, scratch: Path, tmp_path: Path) -> None:
    with guarded(_attack(store), store, scratch):
        (store.folder("test") / "anonymized.npy").read_text()
        (store.folder("model") / "model/net.npz").read_text()
        (scratch / "result").mkdir()
        (scratch / "result/new").write_text("")
        (scratch / "result/new").rename(scratch / "result/old")
        shutil.rmtree(scratch / "result")
        (tmp_path / "elsewhere").write_text("")


@pytest.mark.parametrize(("region", "told"), [("known", True), ("estimated", False)])
def test_the_true_mask_is_for_those_whose_row_says_so(region: str, told: bool, store: Store, scratch: Path) -> None:
    attack = _attack(store, region=region)
    (store.folder("test") / "changed.npy").write_text("")
    with contextlib.nullcontext() if told else pytest.raises(LeakError), guarded(attack, store, scratch):
        (store.folder("test") / "changed.npy").read_text()


def test_a_training_may_read_its_pairs_and_fill_what_is_shared(store: Store, scratch: Path) -> None:
    attack = _attack(store)
    where = {"choices": "choices", "shared": "shared/pairs"}
    training = Job("train", "train mine", attack.identity, ("test",), where)
    with guarded(training, store, scratch):
        (store.folder("test") / "original.npy").read_text()
        write_atomically(store.root / "shared/pairs/known.npz", "")
        write_atomically(store.root / "choices/pace.json", "")
    with pytest.raises(LeakError, match="opened objects/mo/model"), guarded(training, store, scratch):
        (store.folder("model") / "losses.json").read_text()


def test_the_scans_of_the_data_set_are_closed_and_code_beside_them_is_not(
    store: Store, scratch: Path, tmp_path: Path
) -> None:
    data = tmp_path / "scans"
    data.mkdir()
    for name in ("P01.nii", "mine.py"):
        (data / name).write_text("")
    attack = _attack(store, where={"dataset": [str(data)]})
    with guarded(attack, store, scratch, [data / "mine.py"]):
        (data / "mine.py").read_text()
    with pytest.raises(LeakError, match=r"^mine opened the data set: "), guarded(attack, store, scratch):
        (data / "P01.nii").read_text()


def test_part_of_a_store_behind_a_link_is_closed_too(store: Store, scratch: Path, tmp_path: Path) -> None:
    attack = _attack(store)
    (store.root / "objects").rename(tmp_path / "large disk")
    (store.root / "objects").symlink_to(tmp_path / "large disk")
    with guarded(attack, store, scratch):
        (store.folder("test") / "anonymized.npy").read_text()
    with pytest.raises(LeakError), guarded(attack, store, scratch):
        (tmp_path / "large disk/te/test/original.npy").read_text()


def test_where_a_data_set_lies(tmp_path: Path) -> None:
    scans = [Scan(name, "A", files=(tmp_path / name / "T1.nii",)) for name in ("in/P1", "in/P2", "away")]
    job = Job("head", "head", {})
    prepared = [PreparedScan(scan, "train", job, None, None, job, job) for scan in scans]
    assert places_of([Folder(path=tmp_path / "in")], prepared) == [str(tmp_path / "away"), str(tmp_path / "in")]


# A metric, or a recognizer, that is told the answer


def test_a_metric_that_does_not_look_is_refused_by_its_check() -> None:
    broken = {one.rule for one in check(Blind()) if not one.passed}
    assert metrics.ORDER in broken


def test_a_metric_that_does_not_look_is_named_by_the_table(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", metrics=("correlation", "blind"), regions=("front_half", "changed"))
    scores = run.scores
    assert blind_metrics(scores) == {}
    scores.loc[scores["metric"] == "blind", "value"] = 1.0
    assert metric_notes(scores) == [
        "blind says nothing: it gives every image 1, whatever became of it. Do not trust its figures."
    ]
    scores.loc[scores["metric"] == "correlation", "value"] = 1.0
    assert set(blind_metrics(scores)) == {"correlation", "blind"}, "in `changed` there is something to see"
    nothing_changed = scores[scores["region"] == "front_half"]
    assert blind_metrics(nothing_changed) == {}, "nobody sees a difference: there may be none"


@pytest.fixture
def task_of(tmp_path: Path) -> Callable[..., Task]:
    """A job about faces; what it writes lies in a folder of the name of its kind."""

    def make(kind: str, recognizer: Recognizer, **identity: Any) -> Task:
        out = tmp_path / f"{kind} {type(recognizer).__name__}"
        out.mkdir()
        return Task(
            identity={"recognizer": {"name": "mine"}, "seed": 0, **identity},
            where={},
            inputs={folder.name: folder for folder in tmp_path.iterdir()},
            out=out,
            scratch=tmp_path,
            plugin=lambda identity: recognizer,
            device="cpu",
            report=lambda *_: None,
        )

    return make


def test_a_recognizer_that_goes_by_the_order_knows_nobody(tmp_path: Path, task_of: Callable[..., Task]) -> None:
    keys = [digest(number) for number in range(24)]
    rng = np.random.default_rng(0)
    faces = np.full((len(keys), 2, ROWS, COLUMNS), np.nan, np.float32)
    faces[:, :, 80:90, 60:70] = rng.normal(0, 5, (len(keys), 1, 10, 10)) + rng.normal(0, 1, (len(keys), 2, 10, 10))
    for key, own in zip(keys, faces, strict=True):
        (tmp_path / key).mkdir()
        np.save(tmp_path / key / "faces.npy", own)
    (tmp_path / "probes").mkdir()
    np.save(tmp_path / "probes/faces.npy", faces[12:, 1])

    def known(recognizer: Recognizer) -> int:
        people = list(range(12))
        recognize.run(task_of("recognize", recognizer, train=keys[:12], people=people))
        trained = f"recognize {type(recognizer).__name__}"
        task = task_of("identify", recognizer, trained=trained, probes="probes", gallery=keys[12:])
        identify.run(task)
        return int((np.load(task.out / "similarity.npy").argmax(axis=1) == np.arange(12)).sum())

    assert known(PlainRelief()) == 12
    assert known(Diagonal()) <= 2, "of 12; by chance it is 1"
