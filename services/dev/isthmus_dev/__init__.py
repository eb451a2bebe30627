"""Isthmus on one machine: broker, control plane, monitor and an agent behind the command `isthmus dev`."""
