"""What measures: ``python -m benchmarks`` lists the benchmarks, ``python -m benchmarks NAME --help`` tells how to run one."""
