"""What is yet to run, and what it will take: from what jobs like these took before."""
