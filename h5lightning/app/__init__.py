"""The Hydra application: `h5lightning train`, what it prints at the end, and the demo that it can train on."""
