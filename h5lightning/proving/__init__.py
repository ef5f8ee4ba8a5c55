"""Proving on the user's own files what this package promises, before the expensive run."""

from h5lightning.proving.outcome import Outcome
from h5lightning.proving.proof import Proof, prove_files
from h5lightning.proving.settings import ProofSettings

__all__ = ["Outcome", "Proof", "ProofSettings", "prove_files"]
