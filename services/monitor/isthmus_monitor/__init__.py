"""The monitor: telemetry to event log and state; leases; alerts."""
