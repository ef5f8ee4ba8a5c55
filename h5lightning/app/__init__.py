"""The Hydra application `h5lightning train`, the results that it prints, and its demo data."""
