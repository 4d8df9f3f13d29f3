"""One script per figure or table of the paper, each with `runs(preset)`, `draw(rows, ...)` and `check(rows, ...)`."""
