"""Records → rows → medians, intervals and rank tests → CSV and Markdown. Reads what runs wrote; trains and draws
nothing."""

from tcvae_tf.results.claims import LEVEL, OWN, Claim
from tcvae_tf.results.rows import Row, failed, failure, finished, merge, read_rows, row, table, values, write_rows
from tcvae_tf.results.statistics import (
    FEW,
    Comparison,
    Correlation,
    Estimate,
    Separation,
    compare,
    compare_within,
    correlation,
    least_effect,
    mean,
    median,
    p_text,
    separation,
)

__all__ = [
    "FEW",
    "LEVEL",
    "OWN",
    "Claim",
    "Comparison",
    "Correlation",
    "Estimate",
    "Row",
    "Separation",
    "compare",
    "compare_within",
    "correlation",
    "failed",
    "failure",
    "finished",
    "least_effect",
    "mean",
    "median",
    "merge",
    "p_text",
    "read_rows",
    "row",
    "separation",
    "table",
    "values",
    "write_rows",
]
