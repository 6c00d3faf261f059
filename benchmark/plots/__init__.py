"""Figures of a run, drawn by matplotlib."""
