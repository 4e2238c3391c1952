"""Benchmarks: `make bench` runs them all, prints a table and writes `results.json`; none can fail a build.

Each measures something against a peer or a limit in the same run. Run some of them: `make bench ARGS="nnpmm_same_step"`.
"""
