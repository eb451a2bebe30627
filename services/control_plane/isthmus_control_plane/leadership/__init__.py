"""Which of several control planes does the work of which there is one."""
