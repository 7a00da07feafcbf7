"""`python -m agents`: the command line. A `carerelay` process starts further processes with it."""

from agents.app import main

main()
