"""What a run shows and leaves while it goes on: the console, its events, and the command at its end."""

from __future__ import annotations

import json
import multiprocessing
import re
import resource
import signal
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from conftest import Workplace
from rich.console import Console

from refbench.cli import main
from refbench.engines import choose, slurm_runner
from refbench.engines.base import Place
from refbench.errors import SuiteError
from refbench.forecast.alike import Group, Item
from refbench.forecast.history import History
from refbench.forecast.outlook import Outlook
from refbench.job import Job
from refbench.results import EVENTS
from refbench.store import Store
from refbench.store_care.archive import export_run, import_run
from refbench.watch import console as console_module
from refbench.watch import notify
from refbench.watch.console import ConsoleProgress
from refbench.watch.events import EventLog, append_line
from refbench.watch.listeners import Tally
from refbench.watch.notify import Notice, notifying, parse


def events(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


# The console

JOBS = [Job("train", f"train net {number}", {"number": number}) for number in range(3)]
OK = {"status": "ok", "seconds": 60.0, "error": ""}


def outlook(folder: Path) -> Outlook:
    group = Group("train", "train", "", "attack", default=120.0)
    return Outlook([Item(job.key, group) for job in JOBS], History(Store(folder), ()), {"attack": 1}, "cpu")


def shown(progress: ConsoleProgress) -> str:
    width, out = 100, StringIO()
    Console(file=out, width=width).print(progress._table())
    lines = out.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    return re.sub(" *[━╸╺]+ *| {2,}", " ", "\n".join(lines))


def test_a_terminal_shows_what_runs_where_with_losses_and_the_time_left(tmp_path: Path) -> None:
    out = StringIO()
    with ConsoleProgress(Console(file=out, force_terminal=True, width=100)) as progress:
        progress.stage("attack", 3, outlook(tmp_path))
        for job, place in zip(JOBS, (Place("node1", "cuda:1"), Place("node2", "cuda:0,1")), strict=False):
            progress.started(job, place)
        progress.progressed(JOBS[1], 30, 400, {"generator": 0.51234, "critic": 2.0})
        text = shown(progress)
        assert re.search(r"attack 0/3 about 6.0 min left", text)
        assert re.search(r"train net 0 0.\d s on cuda:1 of node1", text)
        assert re.search(r"train net 1 30/400 on cuda:0,1 of node2 generator 0.512 critic 2", text)
        progress.ended(JOBS[1], OK)
        assert "train net 1" not in shown(progress)
        assert re.search(r"attack 1/3 about \d", shown(progress))
        progress.ended(JOBS[0], {**OK, "status": "crashed", "error": "killed by SIGSEGV"})
    assert "✗ train net 0: crashed: killed by SIGSEGV" in out.getvalue()


def test_many_jobs_and_long_names_stay_on_the_screen(tmp_path: Path) -> None:
    progress = ConsoleProgress(Console(file=StringIO(), force_terminal=True))
    progress.stage("attack", 50, outlook(tmp_path))
    for number in range(50):
        progress.started(Job("train", "train " + "long " * 30, {"n": number}), Place("a-node-with-a-long-name", "cpu"))
    text = shown(progress).splitlines()
    assert len(text) == 1 + console_module.ROWS
    assert "42 more running" in text[0]


def test_a_log_gets_few_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(console_module.time, "monotonic", lambda: now[0])
    out = StringIO()
    progress = ConsoleProgress(Console(file=out, width=200))
    progress.stage("attack", 3, outlook(tmp_path))
    progress.started(JOBS[0], Place("node1", "cpu"))
    for second in range(4 * 3600):
        now[0] += 1
        progress.progressed(JOBS[0], second, 4 * 3600, {"loss": 0.25})
    progress.ended(JOBS[0], OK)
    progress.ended(JOBS[1], OK)
    progress.ended(JOBS[2], OK)
    lines = out.getvalue().splitlines()
    assert 50 < len(lines) < 100, "four hours"
    assert lines[0] == "attack: 3 jobs, about 6.0 min left"
    assert re.fullmatch(r"  attack: 0/3; train net 0 \d+/14400 on cpu of node1 loss 0.25, about .* left", lines[1])
    assert lines[-1] == "  attack: 3/3"


# Events


def test_a_run_leaves_what_happened_as_json_lines(once_run: Path) -> None:
    (folder,) = (once_run / "store" / "runs").iterdir()
    told = events(folder / EVENTS)
    first, last = told[0], told[-1]
    assert (first["event"], first["format"], first["suite"], first["engine"]) == ("run_planned", 1, "tiny", "local")
    assert (last["event"], last["status"], last["failures"]) == ("run_ended", "done", 0)
    assert last["ended"] == {"ok": first["jobs"]}
    assert {one["run"] for one in told} == {folder.name}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"]) for one in told)
    stages = [one["stage"] for one in told if one["event"] == "stage_begun"]
    assert stages == ["prepare", "anonymize", "attack", "score"]
    begun = {one["key"]: one for one in told if one["event"] == "job_started"}
    ended = {one["key"]: one for one in told if one["event"] == "job_ended"}
    assert begun.keys() == ended.keys()
    assert {one["device"] for one in begun.values()} == {"cpu"}
    assert set(ended[next(iter(ended))]) == {
        "event", "time", "run", "runner", "key", "kind", "label", "status", "seconds"
    }  # fmt: skip


def test_events_move_with_their_run(once_run: Path, tmp_path: Path) -> None:
    (folder,) = (once_run / "store" / "runs").iterdir()
    export_run(folder, (), Store(once_run / "store"), (), tmp_path / "run.zip")
    other = Store(tmp_path / "other")
    import_run(tmp_path / "run.zip", other)
    assert (other.root / "runs" / folder.name / EVENTS).read_bytes() == (folder / EVENTS).read_bytes()


def _append(file: Path, who: int) -> None:
    for number in range(100):
        append_line(file, {"who": who, "number": number, "text": "ö" * 3000})


def test_lines_of_several_runners_stay_whole(tmp_path: Path) -> None:
    file = tmp_path / EVENTS
    context = multiprocessing.get_context("fork")
    runners = [context.Process(target=_append, args=(file, who)) for who in range(4)]
    for one in runners:
        one.start()
    for one in runners:
        one.join()
    told = events(file)
    for who in range(4):
        assert [one["number"] for one in told if one["who"] == who] == list(range(100))


def _append_without_room(file: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (250, 250))
    for number in range(10):
        append_line(file, {"number": number, "text": "x" * 50})


def test_where_there_is_no_room_a_line_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / EVENTS
    full = multiprocessing.get_context("fork").Process(target=_append_without_room, args=(file,))
    full.start()
    full.join()
    assert full.exitcode == 0
    assert [one["number"] for one in events(file)] == [0, 1, 2]


def test_a_store_that_cannot_be_written_gets_none(tmp_path: Path) -> None:
    with EventLog(tmp_path / "run", "local", silent=True) as log:
        log.started(JOBS[0], Place("here", "cpu"))
        log.progressed(JOBS[0], 1, 2, {"loss": float("nan")})
    assert not list(tmp_path.iterdir())
    append_line(tmp_path / "no" / "folder", {})
    (tmp_path / "file").touch()
    append_line(tmp_path / "file" / "below", {})


def test_losses_that_are_no_numbers_are_null_and_progress_is_sparse(tmp_path: Path) -> None:
    log = EventLog(tmp_path, "local", silent=False)
    for step in range(100):
        log.progressed(JOBS[0], step, 100, {"loss": float("nan"), "other": 0.5})
    log.damaged("train net 0", "model is missing")
    with pytest.raises(ValueError, match="broken"), log:
        raise ValueError("broken")
    progress, damaged, ended = events(tmp_path / EVENTS)
    assert progress["losses"] == {"loss": None, "other": 0.5}
    assert (damaged["event"], damaged["what"]) == ("result_damaged", "model is missing")
    assert (ended["status"], ended["error"]) == ("error", "broken")


# The command at the end

TELL = "import json, os, sys; n = json.load(sys.stdin); n['named'] = os.environ['REFBENCH_STATUS']; " \
    "json.dump(n, open('told.json', 'w')); sys.exit('REFBENCH_NOTIFY' in os.environ or 4)"  # fmt: skip


def test_a_run_tells_a_command_of_its_end_whatever_that_makes_of_it(workplace: Workplace) -> None:
    (workplace.folder / "tell it.py").write_text(TELL.replace("; ", "\n"))
    suite = workplace.suite(
        "dataset: {tiny_heads: {people: 3}}\nsplit: {test: 1, validation: 1}\n"
        "anonymizers: [smear: {fault: raise}]\nattackers: [none]"
    )
    done = workplace.refbench("run", suite, "--notify", "python 'tell it.py'")
    assert done.returncode == 3
    assert "--notify: python failed with exit code 4" in done.stderr
    told = json.loads((workplace.folder / "told.json").read_text())
    assert (told["status"], told["named"], told["format"], told["suite"]) == ("failures", "failures", 1, "tiny")
    assert told["folder"] == str(workplace.run_folder())
    assert told["failed"][0]["error"] == "ValueError: no nose in sight"
    assert events(workplace.run_folder() / EVENTS)[-1]["ended"] == told["ended"]


def test_ctrl_c_is_told_too(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFBENCH_NOTIFY", "sh -c 'cat > told.json'")
    suite = workplace.suite(
        "dataset: {tiny_heads: {people: 3}}\nsplit: {test: 1, validation: 1}\nattackers: [offset: {pause: 100}]"
    )
    process = workplace.start("run", suite)
    deadline = time.monotonic() + 60
    while not workplace.count("fit"):
        assert time.monotonic() < deadline, "the training never began"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads((workplace.folder / "told.json").read_text())["status"] == "stopped"
    last = events(workplace.run_folder() / EVENTS)[-1]
    assert (last["event"], last["status"]) == ("run_ended", "stopped")


def test_a_detached_runner_takes_the_command_along(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    handed_in: list[list[str]] = []
    monkeypatch.setattr(choose, "needs", lambda package, engine: None)
    monkeypatch.setattr(slurm_runner, "detach", lambda *given: handed_in.append(list(given[3])) or ("1", "a-run"))
    monkeypatch.setenv("REFBENCH_NOTIFY", "tell 'my lab'")
    command = ["run", str(workplace.suite("")), "--engine", "slurm", "--store", str(workplace.folder / "store")]
    for more in ([], ["--notify", "other"], ["--notify=other"]):
        monkeypatch.setattr("sys.argv", ["refbench", *command, "--detach", *more])
        with pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code
    asked = [words[len(command) :] for words in handed_in]
    assert asked == [["--notify", "tell 'my lab'"], ["--notify", "other"], ["--notify=other"]]


def notice(folder: Path) -> Notice:
    return Notice("a-run", "a", folder, folder, Tally())


def test_errors_are_told_and_go_on(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(SuiteError, match="no cards"), notifying(
        ["sh", "-c", f"cat > '{tmp_path}/told'"], notice(tmp_path), said.append
    ):  # fmt: skip
        raise SuiteError("no cards")
    told = json.loads((tmp_path / "told").read_text())
    assert (told["status"], told["error"], said) == ("error", "no cards", [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sleep", "60"], "sleep was ended after 0.2 s"),
        (["no-such-program"], "there is no program no-such-program here"),
        (["true"], ""),
        ([], ""),
    ],
)
def test_a_command_that_goes_wrong_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.setattr(notify, "LIMIT_SECONDS", 0.2)
    heard: list[str] = []
    with notifying(words, notice(tmp_path), heard.append):
        pass
    assert said in " ".join(heard)
    assert bool(heard) == bool(said)


def test_a_command_that_cannot_be_read_is_refused_at_once() -> None:
    with pytest.raises(SuiteError, match="No closing quotation"):
        parse("mail 'me")
    assert parse("mail -s 'it ended' me") == ["mail", "-s", "it ended", "me"]
    assert parse(None) == []
