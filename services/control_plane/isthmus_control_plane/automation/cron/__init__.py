"""When schedules are due. Pure: cron expressions, time zones, and nothing else."""
