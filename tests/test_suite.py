import textwrap
from pathlib import Path

import pytest

from refbench.errors import SuiteError
from refbench.suite import Suite, load_suite
from refbench.suite_text import find_suite

BASE = """\
dataset: {folder: {path: heads}}
anonymizers: [identity]
attackers: [pix2pix]
"""

PLUGINS = """\
from typing import Any
from pydantic import BaseModel
from refbench.anonymizers.base import Anonymizer
from refbench.plugin import param

class Shape(BaseModel, extra="forbid"):
    depth: int = 1

class Melt(Anonymizer):
    \"\"\"Melts.\"\"\"
    levels: list[int] = param([1], "levels")
    window: tuple[int, int] = param((0, 1), "window")
    heat: int | str = param("hot", "heat")
    mask: str = param("", "file")
    flag: bool = param(False, "flag")
    gain: float = param(1.0, "gain")
    shape: Shape = param(Shape(), "nested")
    maybe: Shape | None = param(None, "nested, in a union")

    def anonymize(self, head: Any, rng: Any) -> Any:
        return head
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def load(folder: Path, text: str) -> Suite:
    """A suite without the controls that it does not name itself."""
    return load_suite(str(write(folder, textwrap.dedent(text) + "\ncontrols: false\n")))


def errors(folder: Path, text: str) -> list[str]:
    """The lines of the message without the folder; checks that each problem shows its line and a caret below it."""
    path = write(folder, text)
    with pytest.raises(SuiteError) as caught:
        load_suite(str(path))
    lines = str(caught.value).replace(f"{path}:", "").split("\n")
    source = path.read_text().splitlines()
    heads = []
    while lines:
        heads.append(lines.pop(0))
        line, column = map(int, heads[-1].split(":")[:2])
        if line <= len(source):
            assert lines.pop(0) == f"{line:>5} | {source[line - 1]}"
            assert lines.pop(0) == "      | " + " " * (column - 1) + "^"
    return heads


def labels(folder: Path, anonymizers: str, plugins: str = "") -> list[str]:
    (folder / "melt.py").write_text(PLUGINS)
    text = f"dataset: {{folder: {{path: h}}}}\nattackers: [pix2pix]\nanonymizers: {anonymizers}\n"
    return [chosen.label for chosen in load(folder, text + "plugins: [melt.py]\n").anonymizers]


def test_a_small_suite_gets_all_defaults(tmp_path: Path) -> None:
    suite = load(tmp_path, BASE)
    assert suite.name == "mine"
    assert suite.datasets[""].name == "folder"
    assert [chosen.name for chosen in suite.metrics] == ["correlation", "ssim"]
    assert suite.file.regions == ["front_half", "whole", "face", "changed"]
    assert (suite.file.slices.count, suite.file.slices.size, suite.file.seeds) == (21, 256, [0])
    assert suite.text.startswith(BASE)


def test_a_plugin_is_its_name_or_its_name_with_parameters_or_with_nothing_behind_the_colon(tmp_path: Path) -> None:
    assert labels(tmp_path, "[identity, {blur: {strength_mm: 2}}, {pydeface: }]") == [
        "identity",
        "blur(strength_mm=2)",
        "pydeface",
    ]


def test_yaml_numbers_reach_the_plugins_as_numbers(tmp_path: Path) -> None:
    suite = load(tmp_path, BASE.replace("[pix2pix]", "[pix2pix: {learning_rate: 2e-4, steps: 10}]"))
    assert suite.attackers[0].params["learning_rate"] == 2e-4
    assert suite.attackers[0].label == "pix2pix(steps=10, learning_rate=0.0002)"


def test_no_is_a_word(tmp_path: Path) -> None:
    assert labels(tmp_path, "[melt: {mask: NO}]") == ["melt(mask=NO)"]


def test_paths_start_at_the_suite_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    suite = load(tmp_path, BASE)
    assert suite.datasets[""].params["path"] == str(tmp_path / "heads")


# Sweeps


def test_a_list_is_a_sweep_in_its_order(tmp_path: Path) -> None:
    assert labels(tmp_path, "[blur: {strength_mm: [1, 2, 4, 8]}]") == [f"blur(strength_mm={n})" for n in (1, 2, 4, 8)]


def test_two_lists_make_all_combinations(tmp_path: Path) -> None:
    assert labels(tmp_path, "[melt: {gain: [1, 0.5], mask: [a, b]}]") == [
        "melt(mask=a, gain=1)",
        "melt(mask=b, gain=1)",
        "melt(mask=a, gain=0.5)",
        "melt(mask=b, gain=0.5)",
    ]


def test_a_list_for_a_parameter_that_is_a_list_is_no_sweep_but_a_list_of_lists_is(tmp_path: Path) -> None:
    assert labels(tmp_path, "[melt: {levels: [1, 2]}]") == ["melt(levels=[1, 2])"]
    assert labels(tmp_path, "[melt: {levels: [[1], [2, 3]]}]") == ["melt(levels=[1])", "melt(levels=[2, 3])"]
    assert labels(tmp_path, "[melt: {window: [2, 3]}]") == ["melt(window=[2, 3])"]


def test_an_empty_list_is_a_value_where_a_list_is_meant(tmp_path: Path) -> None:
    assert labels(tmp_path, "[melt: {levels: []}]") == ["melt(levels=[])"]


def test_every_bad_value_of_a_sweep_is_named_at_its_own_place(tmp_path: Path) -> None:
    text = BASE.replace("[identity]", "[blur: {strength_mm: [1, -2, 4, big]}]")
    assert errors(tmp_path, text) == [
        "2:39: anonymizers[0].blur.strength_mm[1]: Input should be greater than 0 (got -2)",
        "2:46: anonymizers[0].blur.strength_mm[3]: "
        "Input should be a valid number, unable to parse string as a number (got big)",
    ]


def test_a_bad_value_beside_a_sweep_is_told_once(tmp_path: Path) -> None:
    text = BASE.replace("[pix2pix]", "[pix2pix: {width: 0, batch: [1, 2, 3]}]")
    assert errors(tmp_path, text) == [
        "3:30: attackers[0].pix2pix.width: Input should be greater than or equal to 1 (got 0)"
    ]


def test_an_empty_sweep_is_refused(tmp_path: Path) -> None:
    text = "dataset: {folder: {path: []}}\nanonymizers: [blur: {strength_mm: []}]\nattackers: [pix2pix]\n"
    assert errors(tmp_path, text) == [
        "1:26: dataset.folder.path: Input should be a path (got [])",
        "2:35: anonymizers[0].blur.strength_mm: Input should be a valid number (got [])",
    ]


def test_a_dataset_cannot_be_swept(tmp_path: Path) -> None:
    assert errors(tmp_path, BASE.replace("path: heads", "path: [a, b]")) == [
        "1:10: dataset: a dataset cannot be swept: give one value"
    ]


def test_the_same_thing_twice_is_refused_however_it_is_written(tmp_path: Path) -> None:
    text = BASE.replace("[identity]", "[blur, {blur: {strength_mm: 4.0}}, {blur: {strength_mm: 5}}]")
    assert errors(tmp_path, text) == ["2:21: anonymizers[1]: blur(strength_mm=4) stands here twice"]
    text = BASE.replace("[identity]", "[blur: {strength_mm: [2, 2]}]")
    assert errors(tmp_path, text) == ["2:15: anonymizers[0]: blur(strength_mm=2) stands here twice"]


def test_different_parameters_have_different_labels(tmp_path: Path) -> None:
    long = "x" * 80
    found = labels(tmp_path, f"[melt: {{gain: [1.0000001, 1.0000002]}}, melt: {{mask: [{long}a, {long}b]}}]")
    assert len(set(found)) == 4


# What is wrong, and where


def test_everything_wrong_comes_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
    dataset: {foldr: {path: heads}}
    anonymizers:
      - blurr
      - blur: {strength: 2}
      - identity: {x: 1}
    attackers: [{pix2pux: {width: 3}}, cyclegan: {learning_rate: fast}]
    metrics: [sim]
    slics: {count: 3}
    slices: {cout: 3, size: 250, placement: facee}
    split: {method: random, tset: 0.2, test: 0}
    regions: [front_half, fronthalf]
    limits: {minutes: -1}
    """
    assert errors(tmp_path, text) == [
        "1:11: dataset.foldr: unknown dataset 'foldr'; did you mean 'folder'?",
        "3:5: anonymizers[0]: unknown anonymizer 'blurr'; did you mean 'blur'?",
        "4:12: anonymizers[1].blur.strength: unknown key; did you mean 'strength_mm'?",
        "5:16: anonymizers[2].identity.x: unknown key",
        "6:14: attackers[0].pix2pux: unknown attacker 'pix2pux'; did you mean 'pix2pix'?",
        "6:62: attackers[1].cyclegan.learning_rate: "
        "Input should be a valid number, unable to parse string as a number (got fast)",
        "7:11: metrics[0]: unknown metric 'sim'; did you mean 'ssim'?",
        "8:1: slics: unknown key; did you mean 'slices'?",
        "9:10: slices.cout: unknown key; did you mean 'count'?",
        "9:25: slices.size: Input should be a multiple of 4 (got 250)",
        "9:41: slices.placement: Input should be 'face' or 'paper' (got facee)",
        "10:25: split.tset: unknown key; did you mean 'test'?",
        "10:42: split.test: Input should be greater than 0 (got 0)",
        "11:23: regions[1]: Input should be 'front_half', 'whole', 'face' or 'changed' (got fronthalf)",
        "12:19: limits.minutes: Input should be greater than 0 (got -1)",
    ]


@pytest.mark.parametrize(
    ("metrics", "chosen", "judge"),
    [
        ("[ssim, correlation]", "", "ssim"),
        ("[ssim, correlation]", "metric: correlation", "correlation"),
        ("[ssim: {sigma: [1, 2]}]", "metric: ssim(sigma=2)", "ssim(sigma=2)"),
        ("[ssim: {sigma: 2}]", "metric: ssim", "ssim(sigma=2)"),
        ("[{ssim: {sigma: 2}}, ssim]", "metric: ssim", "ssim"),
    ],
)
def test_validation_people_are_judged_by_a_metric_of_the_suite(
    tmp_path: Path, metrics: str, chosen: str, judge: str
) -> None:
    suite = load(tmp_path, f"{BASE}metrics: {metrics}\nselection: {{{chosen}}}\n")
    assert suite.judge.label == judge
    assert suite.file.selection.region == "changed"


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("[correlation]", "this suite has no such metric; there are: correlation (got ssim)"),
        ("[ssim: {sigma: [1, 2]}]", "name one of ssim(sigma=1), ssim(sigma=2) (got ssim)"),
    ],
)
def test_a_metric_that_the_suite_does_not_measure_judges_nobody(tmp_path: Path, metrics: str, message: str) -> None:
    found = errors(tmp_path, f"{BASE}metrics: {metrics}\nselection: {{region: whole, metric: ssim}}\n")
    assert found == [f"5:36: selection.metric: {message}"]


def test_a_metric_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    (line,) = errors(tmp_path, BASE + "metrics: [sssim]\nselection: {metric: sssim}\n")
    assert line.startswith("4:11: metrics[0]: unknown metric 'sssim'")


def test_where_no_name_is_near_all_names_are_listed(tmp_path: Path) -> None:
    (line,) = errors(tmp_path, BASE.replace("[identity]", "[zzzz]"))
    assert line.startswith("2:15: anonymizers[0]: unknown anonymizer 'zzzz'; there are: ")
    assert "blur" in line
    assert "identity" in line


def test_yaml_problems_and_others_come_together(tmp_path: Path) -> None:
    assert errors(tmp_path, BASE + "seed: 1\nseed: 2\nslics: 3\n") == [
        "5:1: seed: duplicate key (first on line 4)",
        "6:1: slics: unknown key; did you mean 'slices'?",
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "just words\n", "3\n"])
def test_what_is_no_mapping_is_no_suite(tmp_path: Path, text: str) -> None:
    (line,) = errors(tmp_path, text)
    assert ": a suite is a mapping of keys (dataset, anonymizers, attackers, ...) to values" in line


def test_missing_keys(tmp_path: Path) -> None:
    assert sorted(errors(tmp_path, "name: empty\n")) == [
        "1:1: anonymizers: anonymizers is missing",
        "1:1: attackers: attackers is missing",
        "1:1: dataset: dataset is missing",
    ]


@pytest.mark.parametrize(
    ("datasets", "said"),
    [
        ("datasets: {a: phantom, b: phantom}", "1:1: datasets: give `dataset` or `datasets`, not both"),
        ("datasets: {a: phantom}", "1:1: datasets: one alone is a `dataset`; give two or more"),
        ("datasets: {}", "1:1: dataset: dataset is missing"),
        ("datasets: {a: phantom, b: phantm}", "1:24: datasets.b: unknown dataset 'phantm'; did you mean 'phantom'"),
        ("datasets: {a: phantom, b: {folder: {}}}", "1:36: datasets.b.folder.path: path is missing"),
        ("datasets: {a: phantom, b: {phantom: {subjects: [8, 9]}}}", "1:27: datasets.b: a dataset cannot be swept"),
    ],
)
def test_several_datasets_have_names(tmp_path: Path, datasets: str, said: str) -> None:
    one = "dataset: phantom\n" if "not both" in said else ""
    (line,) = errors(tmp_path, f"{datasets}\n{one}anonymizers: [blur]\nattackers: [none]\n")
    assert line.startswith(said)


def test_a_missing_parameter_is_named_at_its_plugin(tmp_path: Path) -> None:
    assert errors(tmp_path, BASE.replace("{folder: {path: heads}}", "folder")) == [
        "1:10: dataset.path: path is missing",
    ]
    assert errors(tmp_path, BASE.replace("{path: heads}", "{glob: x}")) == [
        "1:19: dataset.folder.path: path is missing",
    ]


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("anonymizers: {blur: {strength_mm: 2}}", "14: anonymizers: Input should be a valid list"),
        ("anonymizers: blur", "14: anonymizers: Input should be a valid list"),
        ("anonymizers:", "13: anonymizers: Input should be a valid list"),
        ("anonymizers: []", "14: anonymizers: List should have at least 1 item"),
        ("anonymizers: [3]", "15: anonymizers[0]: name one anonymizer"),
        ("anonymizers: [[blur]]", "15: anonymizers[0]: name one anonymizer"),
        ("anonymizers: [{blur: {}, identity: {}}]", "15: anonymizers[0]: name one anonymizer"),
        ("anonymizers: [{}]", "15: anonymizers[0]: name one anonymizer"),
        ("anonymizers: [null]", "15: anonymizers[0]: Input should be a valid string"),
        ("anonymizers: [blur: 4]", "21: anonymizers[0].blur: parameters of blur are a mapping"),
        ("anonymizers: [blur: []]", "21: anonymizers[0].blur: parameters of blur are a mapping"),
        ("anonymizers: [blur: 0]", "21: anonymizers[0].blur: parameters of blur are a mapping"),
        ("anonymizers: [blur: {strength_mm: {a: 1}}]", "35: anonymizers[0].blur.strength_mm: Input should be a valid"),
        ("anonymizers: [blur: {strength_mm: .nan}]", "35: anonymizers[0].blur.strength_mm: Input should be"),
        ("anonymizers: [blur: {strength_mm: .inf}]", "35: anonymizers[0].blur.strength_mm: Input should be"),
        ("anonymizers: [blur: {strength_mm: }]", "34: anonymizers[0].blur.strength_mm: Input should be a valid number"),
        ("slices: [1]", "9: slices: Input should be a valid dictionary"),
        ("slices: {count: 2.5}", "17: slices.count: Input should be a valid integer"),
        ("slices: {bits: 16}", "16: slices.bits: Input should be 8"),
        ("split: {test: .inf}", "15: split.test: Input should be a finite number"),
        ("seeds: [0, -1]", "12: seeds[1]: Input should be greater than or equal to 0"),
        ("seeds: [1, 2, 1]", "8: seeds: 1 stands here twice"),
        ("seeds: 3", "8: seeds: Input should be a valid list"),
        ("seed: -1", "7: seed: Input should be greater than or equal to 0"),
        ("regions: [whole, whole]", "10: regions: whole stands here twice"),
        ("name: a/b", "7: name: String should match pattern"),
        ("plugins: 3", "10: plugins: Input should be a valid list"),
        ("plugins: mine.py", "10: plugins: Input should be a valid list"),
        ("plugins: {mine.py: 1}", "10: plugins: Input should be a valid list"),
        ("plugins: [3]", "11: plugins[0]: Input should be a valid string"),
        ("selection: {region: nose}", "21: selection.region: Input should be 'front_half', 'whole'"),
        ("training: {gpus: 0}", "18: training.gpus: Input should be greater than or equal to 1"),
        ("training: {deterministic: often}", "27: training.deterministic: Input should be a valid boolean"),
        ("metrics: []", "10: metrics: List should have at least 1 item"),
    ],
)
def test_one_problem_for_one_wrong_value(tmp_path: Path, line: str, place: str) -> None:
    rest = "".join(own + "\n" for own in BASE.splitlines() if own.split(":")[0] != line.split(":")[0])
    (found,) = errors(tmp_path, f"{line}\n{rest}")
    assert found.startswith(f"1:{place}")


def test_a_dataset_that_is_null(tmp_path: Path) -> None:
    (found,) = errors(tmp_path, BASE.replace("{folder: {path: heads}}", "null"))
    assert found.startswith("1:10: dataset: Input should be a valid string")


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ("heat: 1.5", "33: anonymizers[0].melt.heat: Input should be"),
        ("shape: {dept: 1}", "35: anonymizers[0].melt.shape.dept: unknown key; did you mean 'depth'?"),
        ("maybe: {dept: 1}", "35: anonymizers[0].melt.maybe.dept: unknown key"),
        ("levels: [1, x]", "39: anonymizers[0].melt.levels[1]: Input should be a valid integer"),
    ],
)
def test_places_inside_unions_and_nested_parameters(tmp_path: Path, params: str, place: str) -> None:
    (tmp_path / "melt.py").write_text(PLUGINS)
    text = f"anonymizers: [melt: {{     {params}}}]\ndataset: {{folder: {{path: h}}}}\nattackers: [pix2pix]\n"
    found = errors(tmp_path, text + "plugins: [melt.py]\n")
    assert found[0].startswith(f"1:{place}")


def test_a_file_that_is_not_utf_8_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"name: x\ndescription: M\xfcller\n")
    with pytest.raises(SuiteError) as caught:
        load_suite(str(path))
    assert str(caught.value).startswith(f"{path}:2:15: byte 0xfc is not UTF-8")


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_text("\ufeff" + BASE, encoding="utf-8")
    assert load_suite(str(path)).datasets[""].name == "folder"


# Plug-in files


def test_a_plugin_file_is_used_and_named_as_origin(tmp_path: Path) -> None:
    (tmp_path / "melt.py").write_text(PLUGINS)
    suite = load(tmp_path, BASE.replace("[identity]", "[melt]") + "plugins: [./melt.py]\n")
    assert suite.anonymizers[0].origin == str(tmp_path / "melt.py")
    assert suite.plugin_files == (tmp_path / "melt.py",)


def test_names_of_plugin_files_are_suggested(tmp_path: Path) -> None:
    (tmp_path / "melt.py").write_text(PLUGINS)
    found = errors(tmp_path, BASE.replace("[identity]", "[mellt]") + "plugins: [melt.py]\n")
    assert found == ["2:15: anonymizers[0]: unknown anonymizer 'mellt'; did you mean 'melt'?"]


def test_bad_plugin_files_are_told_each_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "raising.py").write_text("raise RuntimeError('no\\n  good')\n")
    (tmp_path / "leaving.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "syntax.py").write_text("def (:\n")
    (tmp_path / "nothing.py").write_text("from refbench.anonymizers.base import Anonymizer\nx = 1\n")
    (tmp_path / "notes.txt").write_text("x = 1\n")
    text = BASE + "plugins: [3, raising.py, leaving.py, syntax.py, nothing.py, absent.py, notes.txt, .]\n"
    found = errors(tmp_path, text)
    starts = [
        "4:11: plugins[0]: Input should be a valid string",
        f"4:14: plugins[1]: plug-in file {tmp_path}/raising.py cannot be loaded: RuntimeError: no good",
        f"4:26: plugins[2]: plug-in file {tmp_path}/leaving.py cannot be loaded: SystemExit: 3",
        f"4:38: plugins[3]: plug-in file {tmp_path}/syntax.py cannot be loaded: SyntaxError: ",
        f"4:49: plugins[4]: plug-in file {tmp_path}/nothing.py holds no complete class",
        f"4:61: plugins[5]: plug-in file {tmp_path}/absent.py does not exist",
        f"4:72: plugins[6]: plug-in file {tmp_path}/notes.txt is not a Python file",
        f"4:83: plugins[7]: plug-in file {tmp_path} does not exist",
    ]
    assert len(found) == len(starts)
    for line, start in zip(found, starts, strict=True):
        assert line.startswith(start)


def test_a_plugin_file_cannot_hide_behind_a_built_in_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "blur.py").write_text(PLUGINS.replace("class Melt", "class Blur"))
    (line,) = errors(tmp_path, BASE + "plugins: [blur.py]\n")
    assert line.startswith("4:11: plugins[0]: anonymizer 'blur' is offered by refbench and by ")


# Finding the file


def test_a_missing_suite_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"no suite file .*absent\.yaml"):
        find_suite(str(tmp_path / "absent.yaml"))


def test_a_folder_is_no_suite_file(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no suite file"):
        load_suite(str(tmp_path))


def test_a_sweep_over_values_that_are_converted(tmp_path: Path) -> None:
    assert labels(tmp_path, "[mask_face: {version: [2012, 2021]}]") == [
        "mask_face(version=2012)",
        "mask_face(version=2021)",
    ]
