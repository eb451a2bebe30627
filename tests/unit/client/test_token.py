"""A token that cannot be used is refused with what is wrong about it, and none of it is shown."""

import pytest
from isthmus_client.errors import TokenError
from isthmus_client.token import checked


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("tiny", "it has 4 characters"),
        ("a" * 1025, "it has 1025 characters"),
        ("first-line-of-it\nsecond-line-of-it", "white space in it"),
        ("schlüssel-von-mehr-als-sechzehn", "beyond ASCII"),
        ("a-token-with-\x07-a-bell-in-it", "a control character"),
    ],
)
def test_a_fault_of_a_token_is_named(token: str, fault: str) -> None:
    with pytest.raises(TokenError, match=fault) as caught:
        checked(token, source="ISTHMUS_API_TOKEN")
    assert "16 to 1024 characters" in caught.value.remedy
    assert not token.strip() or token.strip() not in f"{caught.value} {caught.value.remedy}"


def test_white_space_around_a_token_does_not_matter() -> None:
    assert checked(" sixteen-or-more-chars\n", source="a file") == "sixteen-or-more-chars"
