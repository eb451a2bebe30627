"""`isthmus doctor`: what on this machine keeps Isthmus from working, and the line that mends it.

It goes wherever the command line goes, and looks at what is installed beside it: an agent's machine has no database's driver, a
service's no Dagster. What cannot be looked at for that is said.
"""
