"""What a suite may say about its split."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from refbench.plugin import param

Part = Literal["train", "validation", "test"]
Method = Literal["random", "k-fold", "leave-one-site-out", "paper-guys", "paper-all", "csv"]

OPTIONS: dict[Method, tuple[str, ...]] = {
    "random": ("test", "validation", "train", "seed"),
    "k-fold": ("folds", "fold", "validation", "train", "seed"),
    "leave-one-site-out": ("site", "validation", "train", "seed"),
    "paper-guys": ("validation", "train", "seed"),
    "paper-all": ("validation", "train", "seed"),
    "csv": ("csv", "seed"),
}
"""What each method takes. The seed decides, too, who an attacker sees that learns from a share of the people."""


class SplitOptions(BaseModel):
    """How subjects are divided.

    Whoever is drawn is drawn at random by `seed`, from every site in proportion. The methods differ in who is tested:

    - `random`: people drawn.
    - `k-fold`: one of `folds` equal parts of the cohort. A suite tests one `fold`; all of them test everybody once.
    - `leave-one-site-out`: all people of one site, at which then nobody trains or validates.
    - `paper-guys` and `paper-all`: the founding paper's own, the last 22 people of the site Guys (others are left out),
      or the last 81 of all sites, in name order.
    - `csv`: as a table says, in columns `subject` and `part` (`train`, `validation` or `test`). Who is not in it, or
      without a part, is left out. The `split.csv` of a run is such a table.

    Those who are not tested validate or train.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Method = param("random", "how test subjects are found")
    test: float = param(0.2, "subjects to test: a share below 1, or a number of people", gt=0)
    validation: float = param(0.1, "subjects to validate: a share below 1, or a number of people", ge=0)
    train: int | None = param(None, "at most so many subjects train; all that are left if not given", gt=0)
    seed: int = param(0, "decides the draw", ge=0)
    folds: int = param(5, "into how many parts `k-fold` divides the cohort", ge=2)
    fold: int = param(0, "which of them is tested, counted from 0", ge=0)
    site: str | None = param(None, "the site that `leave-one-site-out` tests", min_length=1)
    csv: Path | None = param(None, "the table of `csv`; a relative path starts at the suite file")

    @field_validator("test", "validation", "train", "folds", "fold", "site", "csv")
    @classmethod
    def _means_something(cls, value: Any, info: ValidationInfo) -> Any:
        method: Method | None = info.data.get("method")  # None: it is unknown, and reported itself
        if method is not None and info.field_name not in OPTIONS[method]:
            raise ValueError(f"means nothing to the method {method}, which takes {', '.join(OPTIONS[method])}")
        return value

    @field_validator("fold")
    @classmethod
    def _one_of_the_folds(cls, fold: int, info: ValidationInfo) -> int:
        folds = info.data.get("folds", fold + 1)
        if fold >= folds:
            raise ValueError(f"the folds are 0 to {folds - 1}")
        return fold

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name, method, what in (
            ("site", "leave-one-site-out", "the site that is tested"),
            ("csv", "csv", "the table that says who is in which part"),
        ):
            if self.method == method and getattr(self, name) is None:
                raise ValueError(f"the method {method} needs `{name}`, {what}")
        return self

    @model_serializer(mode="wrap")
    def _what_counts(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the options that mean nothing to the method, so that equal splits look alike."""
        everything: dict[str, Any] = serialize(self)
        return {name: value for name, value in everything.items() if name in ("method", *OPTIONS[self.method])}
