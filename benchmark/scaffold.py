"""Makes the package of a new plug-in: installable, tested, and ready to be filled with another method."""

from __future__ import annotations

import keyword
import re
from importlib import metadata, resources
from pathlib import Path
from string import Template

import yaml

from refbench.errors import PluginError
from refbench.registry import KINDS, Registry, closest, in_words

LONGEST_NAME = 40

SUITES = {
    "anonymizers": "identity, blur",
    "attackers": "none, mean_face, regression",
    "metrics": "correlation, ssim",
}
"""What a suite names beside the new plug-in."""

PHANTOMS = "{phantom: {subjects: 12, scale: 0.25}}"

DATA_FIRST = """
`suite.yaml` expects scans in `data/SITE/SUBJECT.nii.gz`, of twelve people or more. Scans of people never belong in a
repository; `.gitignore` keeps them out.
"""


def make_package(kind: str, name: str, into: Path) -> Path:
    """Write a package that holds one plug-in, which works and passes its test as it is.

    Args:
        kind: one of `refbench.registry.KINDS`.
        name: what suites will call it, as `my_blur`.
        into: an existing folder; the package becomes `refbench-my-blur` in it.

    Returns:
        the package's folder.

    Raises:
        PluginError: an unknown kind, a name that cannot be one or is taken, a folder that is there or cannot be made.
    """
    if kind not in KINDS:
        raise PluginError(f"unknown kind {kind!r}{closest(kind, KINDS)}")
    _check_name(name)
    _check_class(kind, name)
    _check_free(kind, name)
    folder = into.expanduser() / _distribution(name)
    try:
        folder.mkdir()
    except FileExistsError:
        raise PluginError(f"{folder} is there already. Remove it, or give another name or `--into`.") from None
    except OSError as error:
        raise PluginError(f"{folder} cannot be made ({error.strerror}). Choose another folder by `--into`.") from error
    for path, text in _files(kind, name).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def module_name(name: str) -> str:
    """What the plug-in's file is imported by."""
    return f"refbench_{name}"


def _distribution(name: str) -> str:
    return module_name(name).replace("_", "-")


def _check_name(name: str) -> None:
    if re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) and len(name) <= LONGEST_NAME and not keyword.iskeyword(name):
        return
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)
    better = "_".join(words).lower().lstrip("0123456789_")[:LONGEST_NAME].rstrip("_")
    hint = f", for instance {better!r}" if better and not keyword.iskeyword(better) else ""
    raise PluginError(
        f"{name!r} cannot be a plug-in's name: small letters and digits, words joined by single underscores, a letter "
        f"first, no word of Python, {LONGEST_NAME} characters at most{hint}"
    )


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _check_class(kind: str, name: str) -> None:
    """A name that YAML or Python reads as something else, or that hides what the source file imports."""
    imports = [line for line in _template(f"{kind}.py.txt").splitlines() if line.startswith(("from ", "import "))]
    taken = set(re.findall(r"\w+", " ".join(imports)))
    if yaml.safe_load(name) != name or keyword.iskeyword(_class_name(name)) or _class_name(name) in taken:
        raise PluginError(f"{name!r} means something else in a suite or in Python; give a longer name: 'my_{name}'")


def _template(name: str) -> str:
    return (resources.files("refbench") / "templates" / name).read_text(encoding="utf-8")


def _check_free(kind: str, name: str) -> None:
    for entry in Registry.discover().of_kind(kind):
        if entry.name == name:
            raise PluginError(f"{entry.origin} offers the {in_words(kind)} {name!r} already; give another name")
    try:
        metadata.distribution(_distribution(name))
    except metadata.PackageNotFoundError:
        return
    raise PluginError(f"a package {_distribution(name)} is installed already; give another name")


def _files(kind: str, name: str) -> dict[str, str]:
    """What is written, by path in the package."""
    module = module_name(name)
    words = {
        "kind": kind,
        "kind_words": in_words(kind),
        "name": name,
        "module": module,
        "distribution": _distribution(name),
        "class_name": _class_name(name),
        "more": DATA_FIRST if kind == "dataset" else "",
        **_suite_words(kind, name),
    }
    templates = {
        "pyproject.toml": "pyproject.toml.txt",
        "README.md": "README.md.txt",
        ".gitignore": "gitignore.txt",
        "suite.yaml": "suite.txt",
        f"src/{module}.py": f"{kind}.py.txt",
        f"tests/test_{name}.py": "test_dataset.py.txt" if kind == "dataset" else "test_plugin.py.txt",
    }
    filled = {path: Template(_template(template)).substitute(words) for path, template in templates.items()}
    return {path: text.rstrip() + "\n" for path, text in filled.items()}


def _suite_words(kind: str, name: str) -> dict[str, str]:
    """The plug-ins of a first suite."""
    words = {**SUITES, "dataset": PHANTOMS, "more_keys": ""}
    key = f"{kind}s"
    if kind == "dataset":
        return {**words, kind: f"{{{name}: {{path: data}}}}"}
    if key in SUITES:
        return {**words, key: f"{SUITES[key]}, {name}"}
    return {**words, "more_keys": f"{key}: [{name}]"}
