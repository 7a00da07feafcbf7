"""Benchmarks: the cost of processing events.

"Mechanics" is a minimal workload without rules, which CareRelay and other systems process in the same run. "Care" is the
CareRelay worker with its rules, on events about synthetic people.
"""
