"""Exact Hessians of neural networks as linear operators, and training at the edge of stability.

`Hessian` multiplies vectors with the Hessian of an ONNX network's loss. `train` and `resume` make runs, and `Run` reads
their folders.
"""

from edgewalk._hessian import Density, Eigenvalues, Hessian, Trace
from edgewalk._run import Run
from edgewalk._training import resume, train

__all__ = ["Density", "Eigenvalues", "Hessian", "Run", "Trace", "resume", "train"]
