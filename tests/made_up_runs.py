"""Runs that were never run: tables of any size, for what only reads tables."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refbench.results import NO_ATTACK, Run


def made_up_run(
    folder: Path,
    *,
    anonymizers: tuple[str, ...] = ("veil(strength_mm=4)", "shade"),
    attackers: tuple[str, ...] = ("none", "weak(steps=5)", "strong(steps=50)"),
    metrics: tuple[str, ...] = ("correlation", "ssim"),
    regions: tuple[str, ...] = ("front_half", "changed"),
    people: int = 6,
    slices: int = 2,
    seeds: tuple[int, ...] = (0,),
    names: str = "P{:03}",
    info: dict[str, Any] | None = None,
) -> Run:
    """A run in which the first anonymizer hides best and the last attacker is strongest; written to `folder`."""
    rng = np.random.default_rng(0)
    who = [names.format(number) for number in range(people)]
    sites = np.array(["Guys", "HH", "IOP"])[np.arange(people) % 3]
    images = pd.DataFrame(
        {
            "dataset": "made_up",
            "subject": np.repeat(who, slices),
            "session": "1",
            "site": np.repeat(sites, slices),
            "slice": np.tile(np.arange(slices), people),
        }
    )
    parts, cells = [], []
    for (place, hidden), (rank, attacker) in itertools.product(
        enumerate(anonymizers), enumerate((NO_ATTACK, *attackers))
    ):
        for seed in seeds if attacker else (0,):
            about = {"anonymizer": hidden, "attacker": attacker, "seed": seed}
            about |= {"anonymizer_params": "{}", "attacker_params": json.dumps({"steps": rank})}
            for region, metric in itertools.product(regions, metrics):
                value = 0.4 + 0.3 * place / len(anonymizers) + 0.2 * rank / len(attackers)
                parts.append(
                    images.assign(
                        **about,
                        condition="reconstructed" if attacker else "anonymized",
                        region=region,
                        metric=metric,
                        value=value + rng.normal(0, 0.01, len(images)),
                    )
                )
            if attacker:
                ended = {"status": "ok", "error": "", "train_seconds": 60.0 * rank, "train_memory_mb": 512.0}
                origin = {
                    f"{kind}_{what}": text for kind in ("anonymizer", "attacker") for what, text in ORIGIN.items()
                }
                cells.append({**about, **origin, **ended, "device": "cpu", "key": "a" * 40})
    subjects = [
        {
            "subject": name,
            "session": "1",
            "site": site,
            "part": "test",
            "anonymizer": hidden,
            "outcome": "ok",
            "note": "",
        }
        for (name, site), hidden in itertools.product(zip(who, sites, strict=True), anonymizers)
    ]
    folder.mkdir(parents=True)
    usual = {"suite": "made_up", "description": "Made up.", "notes": [], "environment": {"packages": {"numpy": "2"}}}
    run = Run(folder, usual | (info or {}), pd.concat(parts), pd.DataFrame(cells), pd.DataFrame(subjects))
    (folder / "suite.yaml").write_text("dataset: made_up\n")
    return run


Scored = Mapping[tuple[str, str, int], Sequence[float]]
"""Of anonymizer, attacker and seed the score of every person; without attacker that of the release."""


def made_up_scores(values: Scored, slices: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of scores (by correlation, in `changed`) and of cells; parameters are those in the labels."""
    scores, cells = [], []
    for (hidden, attacker, seed), own in values.items():
        about = {"anonymizer": hidden, "attacker": attacker, "seed": seed, "region": "changed", "metric": "correlation"}
        about["condition"] = "reconstructed" if attacker else "anonymized"
        for person, value in enumerate(own):
            who = {"subject": f"P{person:03}", "session": "1", "site": "AB"[person % 2]}
            scores += [{**who, "slice": number, **about, "value": value} for number in range(slices)]
        if attacker:
            params = {f"{kind}_params": _params(about[kind]) for kind in ("anonymizer", "attacker")}
            cells.append({**about, **params, "status": "ok"})
    return pd.DataFrame(scores), pd.DataFrame(cells)


def _params(label: str) -> str:
    return json.dumps({name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", label)})


ORIGIN = {"version": "1", "origin": "refbench"}


def made_up_faces(
    run: Run,
    *,
    recognized: dict[str, float],
    recognizers: tuple[str, ...] = ("surface", "network(steps=5)"),
    moved: bool = True,
    seed: int = 0,
) -> Run:
    """The run with tables of whole heads.

    Args:
        run: its conditions get probes of all its people, and gallery faces of all.
        recognized: how far own faces stand out, by attacker; 0 is chance, `math.nan`: no face is found.
        recognizers: the first is the strongest.
        moved: the probes are the originals, moved.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    about = ["anonymizer", "attacker", "seed", "condition"]
    conditions = run.scores[about].drop_duplicates()
    people = run.subjects[["subject", "session", "site"]].drop_duplicates()
    pairs = people.merge(people[["subject"]].rename(columns={"subject": "gallery"}), how="cross")
    similar, measured = [], []
    for _, condition in conditions.iterrows():
        gain = recognized[condition["attacker"]]
        for number, recognizer in enumerate(recognizers):
            own = pairs["subject"] == pairs["gallery"]
            values = rng.normal(0, 1, len(pairs)) + np.where(own, gain / (1 + number), 0) + 0 * gain
            similar.append(pairs.assign(**condition, recognizer=recognizer, moved=moved, similarity=values))
        for (metric, figure), value in MEASURED.items():
            own_heads = people.assign(**condition, metric=metric, figure=figure)
            measured.append(own_heads.assign(value=value + rng.normal(0, 0.01, len(people))))
    return replace(run, identification=pd.concat(similar), heads=pd.concat(measured))


MEASURED = {("face", "face_seen"): 0.5, ("brain", "brain_dice"): 0.97, ("brain", "grey_change_percent"): -1.3}
