"""A private RabbitMQ node on this machine: its folder, its process, its life."""
