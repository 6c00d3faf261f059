"""Suite files: one YAML file says what is compared with what, on whom, and how it is scored."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from refbench.errors import PluginError, SuiteError
from refbench.plugin import Plugin, param
from refbench.registry import Registry, closest
from refbench.slicing import SliceOptions
from refbench.split import SplitOptions
from refbench.yaml_source import Location, Problem, YamlSource

REGIONS = ("front_half", "whole", "face", "changed")
RegionName = Literal["front_half", "whole", "face", "changed"]


class Limits(BaseModel):
    """What one job may use before it is stopped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minutes: float = param(24 * 60.0, "wall time of one job", unit="minutes", gt=0)
    memory_gb: float | None = param(None, "memory of one job; the machine's own if not given", unit="GB", gt=0)


class SuiteFile(BaseModel):
    """A suite as it is written. A plug-in is its name, or its name with parameters: `blur: {strength_mm: 4}`.

    A parameter given as a list is a sweep: `blur: {strength_mm: [2, 4, 8]}` makes three anonymizers. Relative paths are
    relative to the suite file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = param(None, "name of the suite; the file's own name if not given", pattern=r"^[\w.-]+$")
    description: str = param("", "one sentence for the reader of a leaderboard")
    plugins: list[str] = param([], "Python files that hold plug-ins")
    dataset: str | dict[str, Any] = param(..., "where the heads come from")
    slices: SliceOptions = Field(SliceOptions(), description="how slices are cut from a released volume")
    split: SplitOptions = Field(SplitOptions(), description="who trains, who validates, who tests")
    anonymizers: list[str | dict[str, Any]] = param(..., "what hides the faces", min_length=1)
    attackers: list[str | dict[str, Any]] = param(..., "what brings them back", min_length=1)
    metrics: list[str | dict[str, Any]] = param(["correlation", "ssim"], "what is measured", min_length=1)
    regions: list[RegionName] = param(list(REGIONS), "where it is measured", min_length=1)
    seed: int = param(0, "decides the anonymizers' random numbers", ge=0)
    seeds: list[int] = param([0], "one training of every attacker per seed", min_length=1)
    limits: Limits = Field(Limits(), description="what one job may use")


@dataclass(frozen=True)
class Chosen:
    """A plug-in with its parameters, as a suite chose it."""

    kind: str
    name: str
    plugin: Plugin
    origin: str

    @property
    def params(self) -> dict[str, Any]:
        """All parameters as JSON values, defaults included."""
        return self.plugin.model_dump(mode="json")

    @property
    def label(self) -> str:
        """The name with the parameters that differ from their defaults, or that decide: `blur(strength_mm=4)`."""
        shown = self.plugin.model_dump(mode="json", exclude_unset=True)
        inside = ", ".join(f"{name}={_plain(value)}" for name, value in shown.items())
        return f"{self.name}({inside})" if inside else self.name


@dataclass(frozen=True)
class Suite:
    """A validated suite: every plug-in found, every parameter checked, sweeps expanded."""

    name: str
    path: Path
    text: str
    file: SuiteFile
    dataset: Chosen
    anonymizers: tuple[Chosen, ...]
    attackers: tuple[Chosen, ...]
    metrics: tuple[Chosen, ...]
    plugin_files: tuple[Path, ...] = ()


def find_suite(name: str) -> Path:
    """The path of a suite file; a bare name (`demo`) means a suite that comes with refbench.

    Raises:
        SuiteError: there is no such file; the message lists the suites that come with refbench.
    """
    path = Path(name)
    if path.is_file():
        return path
    if path.name == name:
        own = Path(str(resources.files("refbench.suites"))) / f"{name.removesuffix('.yaml')}.yaml"
        if own.is_file():
            return own
    shipped = [item.name.removesuffix(".yaml") for item in resources.files("refbench.suites").iterdir()]
    known = [item for item in shipped if not item.startswith("__")]
    raise SuiteError(f"no suite file {name}{closest(name, known)} (these come with refbench)")


def load_suite(name: str) -> Suite:
    """Read and check a suite; `name` as in `find_suite`.

    Raises:
        SuiteError: everything that is wrong, all at once, each with file, line, column and key.
    """
    path = find_suite(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} cannot be read: {error}") from error
    reader = _SuiteReader(YamlSource(text, path))
    suite = reader.read(text)
    if reader.problems or suite is None:
        raise SuiteError(reader.source.report(reader.problems))
    return suite


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
        try:
            file = SuiteFile.model_validate(data)
        except ValidationError as error:
            self._validation(error, (), SuiteFile)
            file = None
        folder = self.source.path.resolve().parent
        plugin_files = tuple(folder / name for name in data.get("plugins") or () if isinstance(name, str))
        registry = self._registry(plugin_files)
        chosen = {
            key: self._choose(registry, key.removesuffix("s"), data.get(key, default), folder)
            for key, default in (("dataset", None), ("anonymizers", []), ("attackers", []))
        }
        chosen["metrics"] = self._choose(registry, "metric", data.get("metrics", ["correlation", "ssim"]), folder)
        if self.problems or file is None:
            return None
        return Suite(
            name=file.name or self.source.path.stem,
            path=self.source.path,
            text=text,
            file=file,
            dataset=chosen["dataset"][0],
            anonymizers=chosen["anonymizers"],
            attackers=chosen["attackers"],
            metrics=chosen["metrics"],
            plugin_files=plugin_files,
        )

    def _problem(self, message: str, where: Location, *, at_key: bool = False) -> None:
        self.problems.append(self.source.problem(message, where, at_key=at_key))

    def _registry(self, plugin_files: tuple[Path, ...]) -> Registry:
        usable = []
        for index, path in enumerate(plugin_files):
            try:
                Registry.discover([path])
                usable.append(path)
            except PluginError as error:
                self._problem(str(error), ("plugins", index))
        return Registry.discover(usable)

    def _choose(self, registry: Registry, kind: str, value: Any, folder: Path) -> tuple[Chosen, ...]:
        """Plug-ins of one kind, sweeps expanded; what is wrong is noted and left out."""
        key = kind if kind == "dataset" else f"{kind}s"
        uses = [((key,), value)] if kind == "dataset" else [((key, i), use) for i, use in enumerate(_listed(value))]
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
            for item in self._instances(registry, kind, str(name), params or {}, inner, folder):
                if any(item.name == other.name and item.params == other.params for other in chosen):
                    self._problem(f"{item.label} stands here twice", where)
                chosen.append(item)
        if kind == "dataset" and len(chosen) > 1:
            self._problem("a dataset cannot be swept: give one value", (key,))
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
        for values in _expand(plugin_class, params):
            try:
                plugin = plugin_class.model_validate(_absolute(plugin_class, values, folder))
            except ValidationError as error:
                self._validation(error, where, plugin_class)
                break  # the other values of a sweep would mostly repeat it
            chosen.append(Chosen(kind, name, plugin, entry.origin))
        return chosen

    def _validation(self, error: ValidationError, where: Location, model: type[BaseModel]) -> None:
        seen = set()
        for item in error.errors(include_url=False):
            place = (*where, *_written(item["loc"]))
            if item["type"] == "extra_forbidden":
                known = _fields_at(model, item["loc"][:-1])
                self._problem(f"unknown key{closest(str(item['loc'][-1]), known)}", place, at_key=True)
            elif item["type"] == "missing":
                self._problem(f"{item['loc'][-1]} is missing", place)
            elif (place, item["type"]) not in seen:
                message = item["msg"].removeprefix("Value error, ")
                self._problem(f"{message} (got {_short(item['input'])})", place)
            seen.add((place, item["type"]))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _written(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Pydantic's way to a value without the names of union members, which are in no file."""
    return tuple(part for part in loc if not (isinstance(part, str) and (part in ("str",) or part.startswith("dict["))))


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    for part in loc:
        inner = model.model_fields[str(part)].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        model = inner
    return list(model.model_fields)


def _expand(plugin_class: type[Plugin], params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All combinations of swept parameters. A list is a sweep unless the parameter itself takes a list."""
    axes = []
    for name, value in params.items():
        swept = isinstance(value, list) and not _takes(plugin_class, name, value)
        axes.append([(name, item) for item in value] if swept else [(name, value)])
    return [dict(combination) for combination in itertools.product(*axes)]


def _takes(plugin_class: type[Plugin], name: str, value: Any) -> bool:
    info = plugin_class.model_fields.get(name)
    if info is None or info.annotation is None:
        return True  # an unknown parameter: report it once, not once per item
    try:
        TypeAdapter[Any](info.annotation).validate_python(value)
    except ValidationError:
        return False
    return True


def _absolute(plugin_class: type[Plugin], values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relative paths in parameters start at the suite file."""
    for name, value in values.items():
        info = plugin_class.model_fields.get(name)
        if info is not None and isinstance(value, str) and info.annotation in (Path, Path | None):
            values[name] = str((folder / Path(value).expanduser()).resolve())
    return values


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else _short(value)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
