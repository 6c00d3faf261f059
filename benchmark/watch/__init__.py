"""Whoever watches a run: the console, the file of events, the command that is told of its end."""
