"""Results of a bench, from its runs: chosen trials, intervals, differences, tables, the page."""
