"""`python -m streams`: the command line, for a process that starts another one of itself."""

from streams.cli.main import main

main()
