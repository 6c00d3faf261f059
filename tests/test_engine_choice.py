"""Which engine a suite or the user chooses, and what is said where it cannot be had."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from conftest import Workplace

from refbench.engines import choose, dask_worker
from refbench.engines.choose import chosen_engine, make_engine
from refbench.engines.local import LocalEngine
from refbench.engines.options import HERE
from refbench.errors import SuiteError
from refbench.results import run_folder
from refbench.store import Store
from refbench.suite import Suite, load_suite


def suite(workplace: Workplace, engine: str = "local") -> Suite:
    return load_suite(str(workplace.suite(f"engine: {engine}")))


def test_without_a_word_jobs_run_here(workplace: Workplace) -> None:
    chosen = load_suite(str(workplace.suite("")))
    assert chosen.file.engine == HERE
    assert (chosen.file.engine.name, chosen.file.engine.written()) == ("local", {})


def test_an_engine_is_its_name_or_its_name_with_options(workplace: Workplace) -> None:
    assert suite(workplace, "dask").file.engine.name == "dask"
    engine = suite(workplace, "{dask: {workers: 3}}").file.engine
    assert (engine.name, engine.dask.workers, engine.dask.bundle) == ("dask", 3, 8)
    assert engine.written() == {"workers": 3}


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("dusk", "engine: there is no such engine; did you mean 'dask'?"),
        ("{local: , dask: }", "engine: name one engine, alone or with its options"),
        ("{dask: {bundel: 3}}", "engine.dask.bundel: unknown key; did you mean 'bundle'?"),
        ("{dask: {bundle: 0}}", "engine.dask.bundle: Input should be greater than or equal to 1"),
        (
            "{dask: {scheduler: a:1, workers: 2}}",
            "engine.dask: name a `scheduler` that is there, or a `cluster` to make",
        ),
        ("{dask: {cluster: os; ls}}", "engine.dask.cluster: String should match pattern"),
    ],
)
def test_what_is_wrong_has_its_place_in_the_suite(workplace: Workplace, engine: str, message: str) -> None:
    with pytest.raises(SuiteError) as refused:
        suite(workplace, engine)
    assert message in str(refused.value)


def test_the_user_decides_and_a_name_alone_keeps_the_options_of_the_suite(workplace: Workplace) -> None:
    chosen = suite(workplace, "{dask: {workers: 3}}")
    assert chosen_engine(None, chosen) is chosen.file.engine
    assert chosen_engine("dask", chosen).dask.workers == 3
    assert chosen_engine("local", chosen).name == "local"
    assert chosen_engine("dask: {bundle: 2}", chosen).written() == {"bundle": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dusk", "--engine 'dusk': there is no such engine; did you mean 'dask'?"),
        ("dask: {bundel: 3}", "dask: bundel: unknown option"),
        ("dask: {", "not valid YAML"),
        ("[dask]", "name one engine"),
    ],
)
def test_what_the_user_mistypes_is_one_message(workplace: Workplace, text: str, message: str) -> None:
    with pytest.raises(SuiteError) as refused:
        chosen_engine(text, suite(workplace))
    assert message in str(refused.value)


def test_the_engine_is_no_part_of_a_run(workplace: Workplace) -> None:
    store = Store(workplace.folder / "store")
    assert run_folder(suite(workplace), store) == run_folder(suite(workplace, "{dask: {workers: 3}}"), store)


def test_a_package_that_is_missing_is_named_with_what_installs_it(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "find_spec", lambda name: None)
    chosen, store = suite(workplace, "dask"), Store(workplace.folder / "store")
    with pytest.raises(SuiteError, match=r"needs the package distributed.*pip install 'refbench\[dask\]'"):
        make_engine(chosen.file.engine, chosen, store, None)  # type: ignore[arg-type]
    assert isinstance(make_engine(HERE, chosen, store, None), LocalEngine)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("scheduler: nowhere.json", "nowhere.json: there is no such file of a scheduler"),
        ("scheduler: 'tcp://127.0.0.1:9'", "no Dask scheduler answers at tcp://127.0.0.1:9"),
        ("scheduler: 'gopher://here:1'", "no Dask scheduler answers at gopher://here:1"),
        ("cluster: nobody.Cluster", "cluster nobody.Cluster cannot be imported"),
        ("cluster: os.getcwd", "os.getcwd is no class of Dask clusters, as dask.distributed.LocalCluster is"),
        ("cluster_options: {protocol: gopher}", "dask.distributed.LocalCluster made no cluster"),
    ],
)
def test_a_cluster_that_cannot_be_had_is_one_message(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, options: str, message: str
) -> None:
    pytest.importorskip("distributed", reason="the extra dask is not installed: pip install 'refbench[dask]'")
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s")
    result = workplace.refbench("run", workplace.suite(""), "--engine", f"dask: {{{options}}}")
    assert result.returncode == 2
    assert message in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.stderr


def test_a_worker_that_lacks_the_store_or_has_another_refbench_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_worker, "PATIENCE_SECONDS", 1)
    mark = tmp_path / "scratch" / "mark"
    missing = asyncio.run(dask_worker.look(str(mark), dask_worker.own_code()))
    assert missing.startswith(f"does not see the store {tmp_path}")
    mark.parent.mkdir()
    mark.touch()
    assert asyncio.run(dask_worker.look(str(mark), dask_worker.own_code())) == ""
    assert "another refbench" in asyncio.run(dask_worker.look(str(mark), "0" * 40))


def test_tasks_of_one_worker_have_cards_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_worker, "offered", lambda: 3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
    with dask_worker._own_cards(2) as first, dask_worker._own_cards(1) as second:
        assert (first["CUDA_VISIBLE_DEVICES"], second["CUDA_VISIBLE_DEVICES"]) == ("4,6", "7")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with dask_worker._own_cards(1) as again, dask_worker._own_cards(0) as untouched:
        assert again["CUDA_VISIBLE_DEVICES"] == "0"
        assert untouched == dict(os.environ)
