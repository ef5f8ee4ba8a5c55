"""The demo's data set: real physics, small enough to be made in seconds on any machine."""
