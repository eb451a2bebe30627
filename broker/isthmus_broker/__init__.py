"""RabbitMQ as Isthmus uses it: topology, connections, channels for instructions and telemetry, and the journal."""
