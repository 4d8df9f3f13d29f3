"""Sentences of the paper against our numbers, with verdicts that say how sure they are."""

from __future__ import annotations

import dataclasses

from tcvae_tf.results.statistics import FEW, Values, compare, median, p_text

#: A finding is called certain where chance gives it less often.
LEVEL = 0.05
#: In the place of what the paper has, for a check of our own.
OWN = "not a claim of the paper"


@dataclasses.dataclass(frozen=True)
class Claim:
    """One sentence of the paper against our numbers.

    Attributes:
      text: the sentence.
      paper: what the paper has, with the mark of its source.
      ours: what we have, with intervals and numbers of seeds.
      holds: None where there are no numbers for it, or too few.
      p: how often chance gives what was found, whichever way it is; None where nothing was tested.
      doubt: why the verdict is not certain, where p does not say it.
    """

    text: str
    paper: str
    ours: str
    holds: bool | None
    p: float | None = None
    doubt: str = ""

    @classmethod
    def greater(cls, text: str, paper: str, a: Values, b: Values, *, digits: int = 3) -> Claim:
        """That the median of a is above that of b, and δ too says so."""
        found, ours, theirs = compare(a, b), median(a), median(b)
        holds = None if found.effect is None else ours.value > theirs.value and found.effect > 0
        said = f"{ours.text(digits)} against {theirs.text(digits)}"
        said += "" if holds is None else f"; {found.told(holds)}"
        return cls(text, paper, said, holds, found.one_sided(bool(holds)))

    @classmethod
    def within(cls, text: str, paper: str, sample: Values, published: float, tolerance: float) -> Claim:
        """That the median is within a tolerance of a published one; a doubt where its interval says otherwise too, and
        where there are fewer than five seeds, whose range is no 90% interval yet, whichever way it is."""
        ours = median(sample)
        if not ours.n:
            return cls(text, paper, str(ours), None)
        inside = [abs(end - published) <= tolerance for end in (ours.value, ours.low, ours.high)]
        crosses = ours.low <= published + tolerance and ours.high >= published - tolerance
        if ours.n == 1:
            doubt = "one seed has no interval"
        elif crosses and not all(inside):
            doubt = "the interval reaches beyond" if inside[0] else "the interval reaches into it"
        elif ours.n < FEW:
            chance = 1 - 2.0 ** (1 - ours.n)
            doubt = f"the range of {ours.n} seeds has the true median in it with a probability of {chance:.0%}"
        else:
            doubt = ""
        return cls(text, paper, str(ours), inside[0], doubt=doubt)

    @property
    def certain(self) -> bool | None:
        return None if self.p is None else self.p < LEVEL

    @property
    def uncertain(self) -> str:
        """Why the verdict is not certain; "" where it is."""
        return self.doubt or (p_text(self.p) if self.certain is False else "")

    @property
    def verdict(self) -> str:
        doubt = self.uncertain
        if self.holds is None:
            return f"not decided: {doubt}" if doubt else "not run"
        if self.holds:
            return f"yes, but {doubt}" if doubt else "yes"
        return "🔴 **NO: failed**" + (f", but {doubt}" if doubt else "")
