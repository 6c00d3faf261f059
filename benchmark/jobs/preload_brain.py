"""Imported once by the server that job processes are forked from, in runs that look for brains."""

from refbench.anonymizers.brain import network

network()  # kept once loaded
