"""One script per figure or table of the paper, each with `runs`, `draw`, `tabulate`, `check` and `explain`."""
