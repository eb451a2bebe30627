"""A module that cannot be imported."""

try:
    {}["missing"]
except KeyError as error:
    message = "the project is broken"
    raise RuntimeError(message) from error
