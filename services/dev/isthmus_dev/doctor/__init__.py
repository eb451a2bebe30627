"""`isthmus doctor`: what on this machine keeps Isthmus from working, and the line that mends it."""
