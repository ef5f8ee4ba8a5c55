"""What the programs that `h5lightning doctor` prints call: files written again, merged, never replaced."""
