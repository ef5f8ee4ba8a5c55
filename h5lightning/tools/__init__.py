"""The commands that look at files: inspect, doctor, bench and check. They share `overview` and nothing else."""
