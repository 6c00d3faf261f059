"""How alike two sets of slices are: one file each."""

if __name__ != "refbench.metrics":
    raise ImportError(
        f"the folder metrics/ is the package `refbench.metrics`, not `{__name__}`: "
        "run `pip install -e .` once and `import refbench.metrics`"
    )
