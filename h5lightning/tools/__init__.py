"""The commands that examine files: inspect, doctor, bench and check. They share `overview`, not each other."""
