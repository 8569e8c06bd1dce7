"""What vecdb costs beside the libraries it stands on: a workload for each budget, raw samples first.

    python -m benchmarks WORKLOAD [--size N] [--out FILE.json]
    python -m benchmarks report FILE.json...

docs/benchmarks.md tells what each workload does and under which rules.
"""
