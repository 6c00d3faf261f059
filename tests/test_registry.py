import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from refbench.anonymizers.base import Anonymizer
from refbench.datasets.base import Dataset
from refbench.describe import print_list
from refbench.errors import PluginError
from refbench.registry import KINDS, Registry, base_class, closest, plugin_module

MODULE = """\
from refbench.anonymizers.base import Anonymizer
from refbench.metrics.base import Metric

class Melt(Anonymizer):
    \"\"\"Melts the face.

    And more.
    \"\"\"
    def anonymize(self, head, rng):
        return head

class Unfinished(Anonymizer):
    \"\"\"Lacks its method.\"\"\"

class Ours(Metric):
    \"\"\"Counts.\"\"\"
    def score(self, reference, candidate, region):
        return 0

def melted():
    return None
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution with a module and entry points where the interpreter finds it."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(distribution: str, entry_points: str, module: str = "", text: str = "") -> None:
        folder = tmp_path / f"{distribution}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(entry_points)
        if module:
            (tmp_path / f"{module}.py").write_text(text)
            monkeypatch.delitem(sys.modules, module, raising=False)

    return make


def listed(registry: Registry) -> list[str]:
    stream = io.StringIO()
    print_list(Console(file=stream, width=250), registry)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


# Entry points


def test_built_ins_come_through_the_same_door() -> None:
    registry = Registry.discover()
    for kind, name in (("dataset", "folder"), ("anonymizer", "blur"), ("attacker", "pix2pix"), ("metric", "ssim")):
        entry = registry.find(kind, name)
        assert entry.origin == "refbench"
        assert issubclass(entry.load(), base_class(kind))


def test_a_third_party_plugin_is_found_with_its_origin(install: Install) -> None:
    install("melting-tools", "[refbench.anonymizers]\nmelt = melting_ok:Melt\n", "melting_ok", MODULE)
    entry = Registry.discover().find("anonymizer", "melt")
    assert entry.origin == "melting-tools"
    assert entry.load().__name__ == "Melt"
    assert any(
        line.split() == ["melt", "Melts", "the", "face.", "melting-tools"] for line in listed(Registry.discover())
    )


def test_nothing_is_imported_before_it_is_asked_for(install: Install) -> None:
    install("lazy", "[refbench.anonymizers]\nlazy = melting_lazy:Melt\n", "melting_lazy", MODULE)
    registry = Registry.discover()
    registry.find("anonymizer", "lazy")
    assert "melting_lazy" not in sys.modules
    registry.find("anonymizer", "lazy").load()
    assert "melting_lazy" in sys.modules


@pytest.mark.parametrize(
    ("value", "text", "words"),
    [
        ("melting_absent:Melt", None, "cannot be loaded: ModuleNotFoundError: No module named 'melting_absent'"),
        ("melting_raises:Melt", "raise RuntimeError('no\\n  good')", "cannot be loaded: RuntimeError: no good"),
        ("melting_leaves:Melt", "import sys; sys.exit('bye')", "cannot be loaded: SystemExit: bye"),
        ("melting_syntax:Melt", "def (:", "cannot be loaded: SyntaxError: "),
        ("melting_empty:Melt", "x = 1", "cannot be loaded: AttributeError: "),
        ("melting_other:Ours", MODULE, "is not a class derived from refbench.anonymizers.base.Anonymizer"),
        ("melting_function:melted", MODULE, "is not a class derived from refbench.anonymizers.base.Anonymizer"),
        ("melting_abstract:Unfinished", MODULE, "lacks the method(s) anonymize"),
        ("melting_field:Melt", MODULE.replace("    def anon", "    x: print = 1\n    def anon"), "cannot be loaded: "),
    ],
)
def test_a_broken_plugin_is_one_line_and_hides_no_other(
    install: Install, value: str, text: str | None, words: str
) -> None:
    install("broken", f"[refbench.anonymizers]\nsad = {value}\n", value.split(":")[0] if text else "", text or "")
    registry = Registry.discover()
    with pytest.raises(PluginError) as caught:
        registry.find("anonymizer", "sad").load()
    message = str(caught.value)
    assert message.startswith(f"anonymizer 'sad' ({value}, from broken) ")
    assert words in message
    assert "\n" not in message
    lines = listed(registry)
    assert sum(line.startswith("sad ") and "broken: " in line for line in lines) == 1
    assert any(line.startswith("identity ") for line in lines)
    assert any(line.startswith("ssim ") for line in lines)


def test_two_offers_of_one_name_are_a_line_and_the_first_is_used(install: Install) -> None:
    install("one", "[refbench.metrics]\nours = melting_one:Ours\n", "melting_one", MODULE)
    install("two", "[refbench.metrics]\nours = melting_two:Ours\n", "melting_two", MODULE)
    registry = Registry.discover()
    first = registry.find("metric", "ours").origin
    second = {"one": "two", "two": "one"}[first]
    assert registry.problems == [f"metric 'ours' is offered by {first} and by {second}; the first is used"]
    assert listed(registry)[-1] == f"! {registry.problems[0]}"


def test_one_name_in_two_kinds_is_no_clash(install: Install) -> None:
    points = "[refbench.metrics]\nmelt = melting_kinds:Ours\n[refbench.anonymizers]\nmelt = melting_kinds:Melt\n"
    install("kinds", points, "melting_kinds", MODULE)
    registry = Registry.discover()
    assert registry.problems == []
    assert registry.find("metric", "melt").load().__name__ == "Ours"
    assert registry.find("anonymizer", "melt").load().__name__ == "Melt"


@pytest.mark.parametrize(
    ("kind", "typo", "meant"),
    [
        ("dataset", "foldr", "folder"),
        ("anonymizer", "pydefase", "pydeface"),
        ("attacker", "pixpix", "pix2pix"),
        ("metric", "corelation", "correlation"),
    ],
)
def test_a_typo_gets_the_nearest_name(kind: str, typo: str, meant: str) -> None:
    with pytest.raises(PluginError, match=f"^unknown {kind} '{typo}'; did you mean '{meant}'\\?$"):
        Registry.discover().find(kind, typo)


def test_a_name_of_another_kind_is_unknown() -> None:
    with pytest.raises(PluginError, match="unknown metric 'blur'"):
        Registry.discover().find("metric", "blur")


def test_entries_of_a_kind_are_sorted() -> None:
    registry = Registry.discover()
    for kind in KINDS:
        names = [entry.name for entry in registry.of_kind(kind)]
        assert names == sorted(names)
        assert names


def test_closest() -> None:
    assert closest("blurr", ["identity", "blur"]) == "; did you mean 'blur'?"
    assert closest("zzz", ["identity", "blur"]) == "; there are: blur, identity"


# Plain files


def test_a_plain_file_offers_its_complete_classes_under_snake_case_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    renamed = MODULE.replace("class Melt(", "class MRIFaceMelt2D(")
    path.write_text("from refbench.anonymizers.identity import Identity\n" + renamed)
    registry = Registry.discover([path])
    own = {(kind, name) for (kind, name), entry in registry.entries.items() if entry.origin == str(path)}
    assert own == {("anonymizer", "mri_face_melt2_d"), ("metric", "ours")}
    assert registry.problems == []


def test_a_file_is_imported_once_and_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    paths = [tmp_path / name / "mine.py" for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(MODULE)
    assert plugin_module(paths[0]) is plugin_module(paths[0])
    assert plugin_module(paths[0]) is not plugin_module(paths[1])
    assert "mine" not in sys.modules


def test_a_file_that_failed_can_be_mended(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("raise ValueError('first')")
    with pytest.raises(PluginError, match="ValueError: first"):
        plugin_module(path)
    path.write_text(MODULE + "# longer than before\n")
    assert plugin_module(path).Melt


def test_ctrl_c_while_a_file_is_imported_stops_everything(tmp_path: Path) -> None:
    path = tmp_path / "slow.py"
    path.write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        plugin_module(path)


def test_add_file_returns_the_names_that_were_taken(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MODULE.replace("class Melt(", "class Blur("))
    registry = Registry.discover()
    assert registry.add_file(path) == [f"anonymizer 'blur' is offered by refbench and by {path}; the first is used"]
    assert registry.find("anonymizer", "blur").origin == "refbench"
    assert registry.find("metric", "ours").origin == str(path)
    assert registry.add_file(path) == registry.problems[1:]


def test_base_classes() -> None:
    assert base_class("anonymizer") is Anonymizer
    assert base_class("dataset") is Dataset
