"""Messages of the contract as what templates and scripts show: pure, without a request in sight."""
