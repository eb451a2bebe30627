"""Whatever a file holds, it is read as what it says, or refused in a line: no traceback, no endless work, nothing lost."""

import pytest
from isthmus_cli.errors import InputError
from isthmus_cli.yaml_text import parse_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGE_BOMB = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 10)}]}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def parsed(text: str) -> object:
    return parse_yaml(text, origin="isthmus.yaml")


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", None),
        ("a: 2030-05-17", {"a": "2030-05-17"}),
        ('{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        ("\ufeffa: ü", {"a": "ü"}),
        ("base: &b {x: 1, y: 1}\nown: {<<: *b, x: 2}", {"base": {"x": 1, "y": 1}, "own": {"y": 1, "x": 2}}),
        ("top: &t {in: {deep: &d {<<: {a: 1}, a: 2}}}\nuse: {<<: *d}", {"top": {"in": {"deep": {"a": 2}}}, "use": {"a": 2}}),
        ("a: &a [1]\nb: *a\nc: *a", {"a": [1], "b": [1], "c": [1]}),
    ],
)  # fmt: skip
def test_a_text_is_what_it_says(text: str, content: object) -> None:
    assert parsed(text) == content


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "isthmus.yaml line 3, column 1: the key 'a' stands there twice"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "isthmus.yaml: the key 'c' stands there twice"),
        ("a: &a [*a]", "isthmus.yaml: a part of it contains itself"),
        ("a: &a {b: *a}", "isthmus.yaml: a part of it contains itself"),
        (BOMB, "values, as aliases repeat others"),
        (MERGE_BOMB, "too much is merged into a map"),
        ("[" * 50_000, "it is nested too deeply"),
        ("- " * 50_000 + "x", "it is nested too deeply"),
        ("a: \x00", "special characters are not allowed"),
        ('a: "\\ud800"', "half a character stands there"),
        ('{"\\ud800": 1}', "half a character stands there"),
        ("a: [1", "isthmus.yaml line 1, column 6: expected ',' or ']'"),
        ("a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("? [1]\n: 2", "found unhashable key"),
        ("a: *nowhere", "found undefined alias 'nowhere'"),
        ("--- 1\n--- 2", "but found another document"),
        ("9" * 5_000, "Exceeds the limit"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        parsed(text)
    assert said in str(refused.value)
    assert refused.value.remedy


def test_much_that_is_written_out_is_read() -> None:
    assert parsed("- x\n" * 150_000) == ["x"] * 150_000
