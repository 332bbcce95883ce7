"""What the runs of a bench amount to: chosen trials, intervals, differences, tables, the page."""
