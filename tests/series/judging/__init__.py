"""Random trees of series, an own model of what options mean, and judges that compare both with what is delivered."""
