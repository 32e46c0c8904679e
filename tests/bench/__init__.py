"""Benchmarks: ratios measured in one run. They are no tests and assert nothing."""
