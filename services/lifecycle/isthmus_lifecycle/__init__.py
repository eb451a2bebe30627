"""How a process of ours lives: log, pulse, signals, settings, back-off, and the boundaries that errors stop at."""
