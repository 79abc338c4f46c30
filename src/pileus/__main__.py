"""`python -m pileus` is the `pileus` command."""

from pileus.cli import main

main()
