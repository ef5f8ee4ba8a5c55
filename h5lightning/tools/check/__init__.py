"""Proving on the user's own files what this package promises, before the expensive run."""

from h5lightning.tools.check.report import Proof, prove_files
from h5lightning.tools.check.result import Outcome
from h5lightning.tools.check.settings import ProofSettings

__all__ = ["Outcome", "Proof", "ProofSettings", "prove_files"]
