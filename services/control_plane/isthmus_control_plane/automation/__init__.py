"""What the system starts by itself: schedules, their times and their ticks."""
