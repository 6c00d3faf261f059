"""`python -m refbench`."""

from refbench.cli import main

main()
