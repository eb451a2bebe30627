"""Checks of the installed RabbitMQ, of which `isthmus dev` makes a private node."""

from collections.abc import Iterator

from isthmus_dev.rabbitmq.errors import NodeNotInstalledError
from isthmus_dev.rabbitmq.layout import find_installation

from isthmus_doctor.finding import Finding

_NAME = "broker"


def installed() -> Iterator[Finding]:
    """A private node can be started."""
    try:
        yield Finding.ok(_NAME, f"RabbitMQ for a private node: {find_installation().server}")
    except NodeNotInstalledError as error:
        yield Finding.fail(
            _NAME,
            f"{error.program} is not installed, and ISTHMUS_BROKER_URL names no other broker",
            remedy="apt-get install rabbitmq-server, or export ISTHMUS_BROKER_URL=amqp://user:password@host:5672/",
        )
