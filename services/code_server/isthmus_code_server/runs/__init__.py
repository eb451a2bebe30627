"""The supervisor's side of runs: it starts them through the zygote, watches them, ends them and carries their events."""
