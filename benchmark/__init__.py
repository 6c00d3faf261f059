"""refbench: how much of a face comes back after a head MRI has been anonymized."""

if __name__ != "refbench":
    raise ImportError(
        f"the folder benchmark/ is the package `refbench`, not `{__name__}`: "
        "run `pip install -e .` once and `import refbench`"
    )

__version__ = "0.1.0"
