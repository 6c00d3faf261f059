"""Models that bring a hidden face back: one file each."""

if __name__ != "refbench.attackers":
    raise ImportError(
        f"the folder attackers/ is the package `refbench.attackers`, not `{__name__}`: "
        "run `pip install -e .` once and `import refbench.attackers`"
    )
