"""Tools that hide the face in a head MRI: one file each."""

if __name__ != "refbench.anonymizers":
    raise ImportError(
        f"the folder anonymizers/ is the package `refbench.anonymizers`, not `{__name__}`: "
        "run `pip install -e .` once and `import refbench.anonymizers`"
    )
