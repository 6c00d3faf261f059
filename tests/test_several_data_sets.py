"""One suite with heads from several data sets, from its file to its tables."""

from __future__ import annotations

import json

import pandas as pd
from conftest import Workplace

from refbench.results import load_run

SUITE = """
datasets: {near: {tiny_heads: {people: 6}}, far: {tiny_heads: {people: 6, first: 6, sites: [C]}}}
split: {test: 6, validation: 2}
attackers: [none, regression]
threats: {transfer: [near, far]}
"""


def test_people_and_sites_carry_the_name_of_their_data_set(workplace: Workplace) -> None:
    done = workplace.refbench("run", workplace.suite(SUITE))
    assert done.returncode == 0, done.stderr
    run = load_run(workplace.run_folder())
    split = pd.read_csv(workplace.run_folder() / "split.csv")
    assert set(split["site"]) == {"near A", "near B", "far"}
    assert {"near-T00", "far-T06"} <= set(split["subject"])
    assert set(run.scores["site"]) <= {"near A", "near B", "far"}
    assert set(run.scores["dataset"]) == {"tiny_heads"}
    about = json.loads((workplace.run_folder() / "run.json").read_text())
    assert about["dataset"] == "tiny_heads(people=6, first=6, sites=['C']) + tiny_heads(people=6)"
    assert about["data"]["sites"] == {"far": 6, "near A": 3, "near B": 3}
    board = workplace.refbench("leaderboard", "--attackers", "--region", "changed").stdout
    assert "regression learnt at near" in board
    assert "learnt at: from the people of this site or data set only." in board


def test_what_one_data_set_came_to_is_not_made_again_beside_another(workplace: Workplace) -> None:
    alone = "dataset: {tiny_heads: {people: 6}}\nsplit: {test: 2, validation: 1}\n"
    assert workplace.refbench("run", workplace.suite(alone, "alone")).returncode == 0
    assert workplace.count("load") == 6
    assert workplace.refbench("run", workplace.suite(SUITE)).returncode == 0
    assert workplace.count("load") == 12
