"""Suite files: one YAML file says what is compared with what, on whom, and how it is scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from refbench.errors import PluginError, SuiteError
from refbench.plugin import Plugin
from refbench.registry import Registry, closest
from refbench.suite_file import METRICS, SuiteFile
from refbench.suite_text import find_suite, suite_text
from refbench.sweeps import expand
from refbench.trust_options import ControlOptions, ThreatOptions
from refbench.yaml_source import Location, Problem, YamlSource


@dataclass(frozen=True)
class Chosen:
    """A plug-in with its parameters, as a suite chose it."""

    kind: str
    name: str
    plugin: Plugin
    origin: str

    @cached_property
    def params(self) -> dict[str, Any]:
        """All parameters as JSON values, defaults included."""
        return self.plugin.model_dump(mode="json")

    @cached_property
    def label(self) -> str:
        """What tables call it: the name with the parameters that were given."""
        return self.plugin.label(self.name)


@dataclass(frozen=True)
class Suite:
    """A validated suite: every plug-in found, every parameter checked, sweeps expanded.

    Attributes:
        datasets: by the names that the suite gives them; one alone is called "".
    """

    name: str
    path: Path
    text: str
    file: SuiteFile
    datasets: Mapping[str, Chosen]
    anonymizers: tuple[Chosen, ...]
    attackers: tuple[Chosen, ...]
    metrics: tuple[Chosen, ...]
    recognizers: tuple[Chosen, ...] = ()
    head_metrics: tuple[Chosen, ...] = ()
    plugin_files: tuple[Path, ...] = ()

    @property
    def judge(self) -> Chosen:
        """The metric that validation people are judged by."""
        return _called(self.file.selection.metric, self.metrics)[0]

    @property
    def data(self) -> str:
        """The data sets with what was given of their parameters."""
        return " + ".join(chosen.label for chosen in self.datasets.values())

    @property
    def data_names(self) -> str:
        """The data sets alone."""
        return " + ".join(dict.fromkeys(chosen.name for chosen in self.datasets.values()))

    def plugins(self) -> Iterator[Chosen]:
        """All of every kind."""
        yield from self.datasets.values()
        for several in (self.anonymizers, self.attackers, self.metrics, self.recognizers, self.head_metrics):
            yield from several


def load_suite(name: str) -> Suite:
    """Read and check a suite; `name` as in `refbench.suite_text.find_suite`.

    Raises:
        SuiteError: everything that is wrong, all at once, each with file, line, column and key.
    """
    path = find_suite(name)
    return read_suite(suite_text(path), path)


def read_suite(text: str, path: Path) -> Suite:
    """Check the text of a suite; relative paths in it start where `path` lies, which need not exist.

    Raises:
        SuiteError: everything that is wrong, see `load_suite`.
    """
    reader = _SuiteReader(YamlSource(text, path))
    suite = reader.read(text)
    if reader.problems or suite is None:
        raise SuiteError(reader.source.report(reader.problems))
    return suite


def choose(kind: str, text: str, registry: Registry) -> Chosen:
    """One plug-in, named as in a suite: `blur`, or `blur: {strength_mm: 4}`. Relative paths start here.

    Raises:
        SuiteError: it is unknown, or its parameters are wrong.
    """
    key = _key(kind)
    use = f"{{{text}}}" if ":" in text else text
    reader = _SuiteReader(YamlSource(f"{key}: {use}" if kind == "dataset" else f"{key}: [{use}]", Path(text)))
    reader.problems += reader.source.problems
    data = reader.source.data
    uses = data.get(key) if isinstance(data, dict) else None
    chosen = () if reader.problems else reader._choose(registry, kind, _uses(kind, uses), Path.cwd())
    if len(chosen) > 1:
        reader._problem(f"name one {kind}, with one value per parameter", (key, 0))
    if reader.problems or not chosen:
        keys = [problem.key.rpartition(".")[2] for problem in reader.problems]
        said = zip(keys, reader.problems, strict=True)
        wrong = "; ".join(f"{key}: {p.message}" if key.isidentifier() else p.message for key, p in said)
        raise SuiteError(f"{kind} {text!r}: {wrong or 'nothing is named'}")
    return chosen[0]


def _key(kind: str) -> str:
    """Where a suite names plug-ins of a kind: it has one dataset, and several of all else."""
    return kind if kind == "dataset" else f"{kind}s"


_PLUGINS: dict[str, list[str]] = {
    "anonymizers": [],
    "attackers": [],
    "metrics": list(METRICS),
    "recognizers": [],
    "head_metrics": [],
}
"""Keys of a suite that name plug-ins of which there may be several, and what stands there if nothing is given."""


def _uses(kind: str, value: Any) -> list[tuple[Location, Any]]:
    """What stands under the key of a kind, each with its place."""
    key = _key(kind)
    return [((key,), value)] if kind == "dataset" else [((key, i), use) for i, use in enumerate(_listed(value))]


@dataclass
class _SuiteReader:
    source: YamlSource
    problems: list[Problem] = field(default_factory=list)

    def read(self, text: str) -> Suite | None:
        self.problems += self.source.problems
        data = self.source.data
        if not isinstance(data, dict):
            if not self.problems:
                self._problem("a suite is a mapping of keys (dataset, anonymizers, attackers, ...) to values", ())
            return None
        folder = self.source.path.resolve().parent
        files = {i: folder / name for i, name in enumerate(_listed(data.get("plugins"))) if isinstance(name, str)}
        registry = self._registry(files)
        chosen = {
            key: self._choose(registry, kind, _uses(kind, data.get(key, default)), folder)
            for key, default in _PLUGINS.items()
            for kind in [key.removesuffix("s")]
        }
        datasets = self._datasets(registry, data, folder)
        try:
            file = SuiteFile.model_validate(data)
        except ValidationError as error:
            self._validation(error, (), SuiteFile)
        else:
            self._check_judge(file.selection.metric, chosen["metrics"])
            self._add_controls(registry, file.controls, chosen)
            self._check_threats(file.threats, chosen["anonymizers"])
        if self.problems:
            return None
        return Suite(
            name=file.name or self.source.path.stem,
            path=self.source.path,
            text=text,
            file=file,
            datasets=datasets,
            anonymizers=chosen["anonymizers"],
            attackers=chosen["attackers"],
            metrics=chosen["metrics"],
            recognizers=chosen["recognizers"],
            head_metrics=chosen["head_metrics"],
            plugin_files=tuple(files.values()),
        )

    def _problem(self, message: str, where: Location, *, at_key: bool = False) -> None:
        """Note what is wrong with one value; what else would be said of the same value only follows from it."""
        new = self.source.problem(message, where, at_key=at_key)
        if not any((new.line, new.column, new.key) == (old.line, old.column, old.key) for old in self.problems):
            self.problems.append(new)

    def _check_judge(self, name: str | None, metrics: tuple[Chosen, ...]) -> None:
        found = _called(name, metrics)
        if name is None or len(found) == 1 or any(problem.key.startswith("metrics") for problem in self.problems):
            return
        labels = [metric.label for metric in found or metrics]
        said = f"name one of {', '.join(labels)}" if found else f"this suite has no such metric{closest(name, labels)}"
        self._problem(f"{said} (got {name})", ("selection", "metric"))

    def _add_controls(
        self, registry: Registry, controls: ControlOptions, chosen: dict[str, tuple[Chosen, ...]]
    ) -> None:
        """Controls that the suite does not name itself stand behind what it names."""
        hidden, floors = controls.identity or controls.crossed, controls.floors
        wanted: dict[str, list[tuple[str, dict[str, Any], bool]]] = {
            "anonymizers": [("identity", {}, hidden), ("constant", {}, controls.constant)],
            "attackers": [("none", {}, floors), ("mean_face", {}, floors), ("mean_face", {"aligned": False}, floors)],
        }
        for key, plugins in wanted.items():
            for name, params in ((name, params) for name, params, on in plugins if on):
                added = self._instances(registry, key.removesuffix("s"), name, params, (key,), Path())
                there = [(one.name, one.params) for one in chosen[key]]
                chosen[key] += tuple(one for one in added if (one.name, one.params) not in there)

    def _check_threats(self, threats: ThreatOptions, anonymizers: tuple[Chosen, ...]) -> None:
        labels = [chosen.label for chosen in anonymizers]
        named: list[tuple[str, Location]] = []
        if not isinstance(threats.ignorant, bool):
            named += [(label, ("threats", "ignorant", i)) for i, label in enumerate(threats.ignorant)]
        for i, pair in enumerate(threats.composition):
            named += [(label, ("threats", "composition", i, j)) for j, label in enumerate(pair)]
            if pair[0] == pair[1]:
                self._problem("name two anonymizers", ("threats", "composition", i))
        for label, where in named:
            if label not in labels:
                self._problem(f"this suite has no such anonymizer{closest(label, labels)} (got {label})", where)

    def _registry(self, plugin_files: Mapping[int, Path]) -> Registry:
        registry = Registry.discover()
        for index, path in plugin_files.items():
            try:
                for clash in registry.add_file(path):
                    self._problem(clash, ("plugins", index))
            except PluginError as error:
                self._problem(str(error), ("plugins", index))
        return registry

    def _datasets(self, registry: Registry, data: dict[str, Any], folder: Path) -> dict[str, Chosen]:
        """One, or several by name; what is wrong is noted and left out."""
        named = data.get("datasets", {})
        uses: dict[str, tuple[Location, Any]] = {"": (("dataset",), data["dataset"])} if "dataset" in data else {}
        uses |= {name: (("datasets", name), use) for name, use in named.items()} if isinstance(named, dict) else {}
        if not uses:
            self._problem("dataset is missing", ("dataset",))
        elif "" in uses and "datasets" in data:
            self._problem("give `dataset` or `datasets`, not both", ("datasets",), at_key=True)
        elif list(uses) == list(named)[:1]:
            self._problem("one alone is a `dataset`; give two or more", ("datasets",), at_key=True)
        chosen = {name: self._choose(registry, "dataset", [use], folder) for name, use in uses.items()}
        return {name: found[0] for name, found in chosen.items() if found}

    def _choose(
        self, registry: Registry, kind: str, uses: list[tuple[Location, Any]], folder: Path
    ) -> tuple[Chosen, ...]:
        """Plug-ins of one kind, sweeps expanded; what is wrong is noted and left out."""
        chosen: list[Chosen] = []
        for where, use in uses:
            if isinstance(use, str):
                name, params, inner = use, None, where
            elif isinstance(use, dict) and len(use) == 1:
                name, params = next(iter(use.items()))
                inner = (*where, name)
            elif use is None:
                continue  # a missing key is reported by the file's own model
            else:
                self._problem(
                    f"name one {kind}, alone or with its parameters: `name` or `name: {{parameter: value}}`", where
                )
                continue
            for item in self._instances(registry, kind, name, {} if params is None else params, inner, folder):
                if any(
                    (item.name, item.params) == (other.name, other.params) or item.label == other.label
                    for other in chosen
                ):
                    self._problem(f"{item.label} stands here twice", where)
                chosen.append(item)
        if kind == "dataset" and len(chosen) > 1:
            self._problem("a dataset cannot be swept: give one value", uses[0][0])
        return tuple(chosen)

    def _instances(
        self, registry: Registry, kind: str, name: str, params: Any, where: Location, folder: Path
    ) -> list[Chosen]:
        try:
            entry = registry.find(kind, name)
            plugin_class = entry.load()
        except PluginError as error:
            self._problem(str(error), where, at_key=True)
            return []
        if not isinstance(params, dict):
            self._problem(f"parameters of {name} are a mapping: `{name}: {{parameter: value}}`", where)
            return []
        chosen = []
        for values, swept in expand(plugin_class, params):
            try:
                plugin = plugin_class.model_validate(_absolute(plugin_class, values, folder))
            except ValidationError as error:
                self._validation(error, where, plugin_class, swept)
            else:
                chosen.append(Chosen(kind, name, plugin, entry.origin))
        return chosen

    def _validation(
        self,
        error: ValidationError,
        where: Location,
        model: type[BaseModel],
        swept: Mapping[str | int, int] | None = None,
    ) -> None:
        """Note all that a model refuses. `swept`: which item of a parameter's list was tried, see `expand`."""
        for item in error.errors(include_url=False):
            loc = item["loc"]
            if loc and swept and loc[0] in swept:
                loc = (loc[0], swept[loc[0]], *loc[1:])
            place = self.source.written((*where, *loc))
            if item["type"] == "extra_forbidden":
                known = _fields_at(model, item["loc"][:-1])
                near = closest(str(loc[-1]), known) if known else ""
                self._problem(f"unknown key{near}", place, at_key=True)
            elif item["type"] == "missing":
                self._problem(f"{loc[-1]} is missing", (*place, loc[-1]))
            else:
                message = item["msg"].removeprefix("Value error, ")
                if item["type"] == "path_type":  # its text names a class, and another one in each version of Python
                    message = "Input should be a path"
                self._problem(f"{message} (got {_short(item['input'])})", place)


def _called(name: str | None, metrics: tuple[Chosen, ...]) -> tuple[Chosen, ...]:
    """The metrics of this label, or else of this name; the first for None."""
    if name is None:
        return metrics[:1]
    labelled = tuple(metric for metric in metrics if metric.label == name)
    return labelled or tuple(metric for metric in metrics if metric.name == name)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Fields of the model that stands at `loc` of another; none where it hides in a list or a union."""
    for part in loc:
        info = model.model_fields.get(str(part))
        if info is None or not isinstance(info.annotation, type) or not issubclass(info.annotation, BaseModel):
            return []
        model = info.annotation
    return list(model.model_fields)


def _absolute(plugin_class: type[Plugin], values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relative paths in parameters start at the suite file."""
    for name, value in values.items():
        info = plugin_class.model_fields.get(name)
        if info is not None and isinstance(value, str) and info.annotation in (Path, Path | None):
            values[name] = str((folder / Path(value).expanduser()).resolve())
    return values


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
