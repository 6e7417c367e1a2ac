"""Attacks, defenses and protocols behind the robustness study book."""

import os

# torch's idle threads spin for as long as libgomp lets them, in the way of whoever else computes on
# the same cores. libgomp reads this once, when torch is loaded: import advlib before torch. The
# value is that of tests/benchmarks/threads.py; who sets one of the two has it their way.
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "100000"
