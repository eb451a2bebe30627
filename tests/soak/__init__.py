"""Long forms of tests: what must stay flat, over as much as a year brings."""
