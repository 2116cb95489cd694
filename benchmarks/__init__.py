"""Benchmarks: ``python -m benchmarks`` lists them, ``python -m benchmarks NAME --help`` says how to run one."""
