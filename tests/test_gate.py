"""The gate, on its own and through the command line with a blur that is weakened on purpose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Workplace
from test_compare import BEFORE, means

from refbench.baseline import Baseline
from refbench.compare import compare
from refbench.compare_render import to_markdown
from refbench.gate import FINE, INCOMPLETE, NOTHING, REGRESSED, gate


def crashed(baseline: Baseline, *rows: int) -> Baseline:
    for number in rows:
        baseline.rows[number] = baseline.rows[number].model_copy(update={"status": "crashed", "scores": {}})
    return baseline


@pytest.mark.parametrize(
    ("now", "code", "words"),
    [
        (means(BEFORE), FINE, "Fine: 5 rows are the same."),
        (means(BEFORE | {("blur", "mean"): 0.65}), FINE, "1 better; `--write` makes this the baseline"),
        (means(BEFORE | {("blur", "gan"): 0.8}), REGRESSED, "1 of 5 rows"),
        (means(BEFORE | {("blur", "gan"): 0.5}), REGRESSED, "1 of 5 rows"),
        (crashed(means(BEFORE), 2), INCOMPLETE, "Incomplete: 2 of 5 rows"),
        (crashed(means(BEFORE), 0, 1, 2, 3), INCOMPLETE, "Incomplete: 5 of 5 rows"),
        (crashed(means(BEFORE | {("blur", "mean"): 0.4}), 2), REGRESSED, "Regressed"),
        (means({key: value for key, value in BEFORE.items() if key[1] != "gan"}), INCOMPLETE, "1 of 5 rows"),
        (means(BEFORE, split="other"), NOTHING, "the split differs"),
        (means({("other", ""): 0.5, ("other", "gan"): 0.5}), NOTHING, "share no row"),
    ],
)
def test_the_exit_code_and_the_sentence(now: Baseline, code: int, words: str) -> None:
    found = gate(compare(means(BEFORE), now, {}))
    assert (found.code, words in found.headline) == (code, True), found


def test_the_summary_names_who_is_to_blame_before_the_table() -> None:
    found = compare(means(BEFORE), means(BEFORE | {("blur", "gan"): 0.5}), {})
    text = to_markdown(found, gate(found))
    assert text.startswith("### refbench gate: Regressed: worse than the baseline in 1 of 5 rows.\n")
    assert "- **worse**: blur, gan: the attack is weaker: correlation 0.700 → 0.500 (-0.200" in text
    assert text.index("- **worse**") < text.index("<details>") < text.index("| verdict |")


BLUR = '''
"""A blur along y of the front, as a plug-in's author has it."""

import numpy as np
from scipy import ndimage

from refbench.anonymizers.base import Anonymizer
from refbench.types import Head


class OwnBlur(Anonymizer):
    """Blur of the front."""

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head:
        voxels = np.array(head.voxels)
        front = voxels.shape[1] // 2
        voxels[:, front:] = ndimage.gaussian_filter(head.voxels, STRENGTH)[:, front:]
        return head.with_voxels(voxels)
'''


@pytest.mark.slow
def test_a_weakened_blur_turns_the_gate_red_and_an_unchanged_run_stays_green(workplace: Workplace) -> None:
    plugin, baseline = workplace.folder / "own_blur.py", workplace.folder / "baseline.json"
    plugin.write_text(BLUR.replace("STRENGTH", "2.0"))
    tiny = str(Path(__file__).with_name("tiny_plugins.py"))
    suite = workplace.suite(
        f"plugins: [{tiny}, {plugin}]\nanonymizers: [own_blur]\nattackers: [none, offset]\n"
        "regions: [front_half, changed]"
    )
    lost = workplace.refbench("gate", suite, "--baseline", baseline)
    assert (lost.returncode, "--write" in lost.stderr) == (2, True)
    made = workplace.refbench("gate", suite, "--baseline", baseline, "--write")
    assert made.returncode == 0, made.stderr

    # In a store of its own, so that all is really computed again.
    green = workplace.refbench("gate", suite, "--baseline", baseline, "--store", workplace.folder / "other")
    assert green.returncode == 0, green.stderr
    assert "Fine: 4 rows are the same." in green.stderr

    plugin.write_text(BLUR.replace("STRENGTH", "0.7"))
    summary = workplace.folder / "summary.md"
    red = workplace.refbench("gate", suite, "--baseline", baseline, "--summary", summary, "--format", "json")
    assert red.returncode == 1, red.stderr
    assert "worse: own_blur, strongest attack: hides less: correlation" in red.stderr
    found = json.loads(red.stdout)
    (strongest,) = [line for line in found["lines"] if line["attack"] == "strongest attack"]
    step = max(change["now"] - change["before"] for change in strongest["changes"])
    assert f"({step:+.4f}, tolerance 0.01)" in red.stderr
    assert f"({step:+.4f}, tolerance 0.01)" in summary.read_text()


@pytest.mark.slow
def test_a_tolerance_of_an_unknown_metric_is_a_wrong_suite(workplace: Workplace) -> None:
    suite = workplace.suite("tolerances: {corelation: 0.1}")
    done = workplace.refbench("gate", suite, "--baseline", "b.json")
    assert done.returncode == 2
    assert "tolerances.corelation: this suite has no such metric; did you mean 'correlation'?" in done.stderr
