"""What a person can get wrong before the control plane is asked anything."""

from isthmus_client.errors import PermanentError


class InputError(PermanentError):
    """A person's input is not usable: an option, a file, or a value in it."""
