"""Suites that come with refbench (YAML files)."""

if __name__ != "refbench.suites":
    raise ImportError(
        f"the folder suites/ is the package `refbench.suites`, not `{__name__}`: "
        "run `pip install -e .` once and `import refbench.suites`"
    )
