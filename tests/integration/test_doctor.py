"""What `isthmus doctor` finds at a real broker."""

from isthmus_doctor import broker
from isthmus_doctor.finding import Finding, Level
from yarl import URL


async def found_at(url: str, *, queue: str = "") -> dict[str, Finding]:
    return {one.name: one async for one in broker.reached(url, queue=queue)}


async def test_a_broker_tells_its_version_and_what_is_missing_there(broker_url: str) -> None:
    found = await found_at(broker_url, queue=broker.agent_queue("default", "nobody"))
    assert found["broker"].level is Level.OK
    assert found["broker"].text.startswith("RabbitMQ ")
    assert found["permissions"].level is not Level.OK
    assert found["permissions"].remedy


async def test_an_account_that_is_refused_is_told_without_its_password(broker_url: str) -> None:
    found = await found_at(str(URL(broker_url).with_password("wrong-one")))
    assert found["broker"].level is Level.FAIL
    assert "refuses the account" in found["broker"].text
    assert "wrong-one" not in str(found)
