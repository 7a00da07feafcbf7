"""`python -m agents`: the command line, for a process that starts another one of itself."""

from agents.app import main

main()
