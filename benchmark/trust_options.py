"""What a suite may say about its controls, and about who attacks."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from refbench.plugin import param


class ControlOptions(BaseModel):
    """Attacks that must fail, and some that cannot: they tell whether a table can be believed.

    `controls: false` switches all of them off, and every table says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: bool = param(True, "every attacker against heads to which nothing was done: it must give them back")
    constant: bool = param(True, "every attacker against one head for everybody: it must not beat the average face")
    shuffled: bool = param(
        True,
        "every attacker that learns from pairs once from wrong ones, on the first anonymizer: it must gain nothing",
    )
    crossed: bool = param(
        True, "every attacker that learnt from originals, against every anonymizer: it must gain nothing"
    )
    memory: bool = param(True, "whether reconstructions are copies of training people's faces")
    floors: bool = param(True, "the baselines none and mean_face, aligned and as it lies, where the suite lacks them")

    def notes(self) -> list[str]:
        """What the reader of a table must know of controls that are not there."""
        off = [name for name, on in self if not on]
        if not off:
            return []
        if len(off) < len(ControlOptions.model_fields):
            return [f"Controls that are switched off: {', '.join(off)}."]
        return [
            "Controls are switched off: nothing here tells a face that is well hidden from a weak attack, or a strong "
            "attack from a leak."
        ]


OFF = ControlOptions(identity=False, constant=False, shuffled=False, crossed=False, memory=False, floors=False)


def _in_words(value: Any) -> Any:
    if isinstance(value, bool):
        return ControlOptions() if value else OFF
    return value


Controls = Annotated[ControlOptions, BeforeValidator(_in_words, json_schema_input_type=ControlOptions | bool)]


class ThreatOptions(BaseModel):
    """Who attacks, beside the informed attackers, who learnt from the very anonymizer and are always there.

    The worst of all of them ranks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ignorant: bool | Annotated[list[str], Field(min_length=1)] = param(
        False, "attackers that learnt from another anonymizer: from all others (true), or from those of these labels"
    )
    transfer: bool | Annotated[list[str], Field(min_length=1)] = param(
        False,
        "attackers that learnt from the people of one site or data set, tested on everybody: each (true), or these",
    )
    composition: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = param(
        [], "pairs of anonymizers, by label, of which attackers are given both releases of a head"
    )
