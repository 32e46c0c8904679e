import pytest
from pydantic import JsonValue

from aos.cli.exits import CommandError, ExitCode
from aos.cli.inputs import parse_object, parse_value, read_text, task_input

FILES = {"lead.json": '{"id": 1}', "note.txt": "two\nlines\n"}


def parse(*pairs: str, document: str | None = None, stdin: str = "") -> dict[str, JsonValue]:
    return task_input(pairs, document, FILES.__getitem__, lambda: stdin)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("true", True),
        ("null", None),
        ('"3"', "3"),
        ('{"a": [1]}', {"a": [1]}),
        ("acme", "acme"),
        ("", ""),
        ("{not json", "{not json"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("a=b", "a=b"),
        ("emea-0001", "emea-0001"),
    ],
)
def test_a_value_is_json_where_it_is_json_and_text_where_it_is_not(text: str, value: JsonValue) -> None:
    assert parse_value(text) == value
    assert parse(f"key={text}") == {"key": value}


def test_a_value_is_read_from_a_file_and_parsed_like_any_other() -> None:
    assert parse("lead=@lead.json", "note=@note.txt") == {"lead": {"id": 1}, "note": "two\nlines\n"}


def test_a_text_that_begins_with_an_at_sign_is_given_as_json() -> None:
    assert parse('handle="@acme"') == {"handle": "@acme"}


def test_single_values_add_to_the_document_and_win_over_it() -> None:
    assert parse("b=3", "c=4", document='{"a": 1, "b": 2}') == {"a": 1, "b": 3, "c": 4}


def test_the_document_comes_from_standard_input() -> None:
    assert parse(document="-", stdin='{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("pair", ["key", "=value", ""])
def test_what_is_no_pair_is_a_usage_error(pair: str) -> None:
    with pytest.raises(CommandError, match="key=value") as caught:
        parse(pair)
    assert caught.value.code is ExitCode.USAGE


def test_a_key_given_twice_is_a_usage_error() -> None:
    with pytest.raises(CommandError, match="-i a: given twice"):
        parse("a=1", "a=2")


@pytest.mark.parametrize("text", ["[1]", "text", "", "{", '{"a": NaN}'])
def test_a_document_that_is_no_object_is_a_usage_error(text: str) -> None:
    with pytest.raises(CommandError, match="--input-json") as caught:
        parse_object(text, "--input-json")
    assert caught.value.code is ExitCode.USAGE


@pytest.mark.parametrize("number", ["9007199254740992", "-9007199254740992", "1" + "0" * 5000])
def test_an_integer_that_others_would_read_differently_is_a_usage_error(number: str) -> None:
    assert parse_value("9007199254740991") == 9007199254740991
    with pytest.raises(CommandError, match="beyond 9007199254740991"):
        parse_value(number)
    with pytest.raises(CommandError, match="beyond 9007199254740991"):
        parse_object(f'{{"n": [{number}]}}', "--args")


def test_json_that_says_one_thing_twice_is_a_usage_error_wherever_it_stands() -> None:
    with pytest.raises(CommandError, match="the key 'a' twice"):
        parse('key={"a": 1, "a": 2}')
    with pytest.raises(CommandError, match="the key 'a' twice"):
        parse(document='{"x": {"a": 1, "a": 2}}')


def test_json_nested_too_deep_is_a_usage_error() -> None:
    with pytest.raises(CommandError, match="nested too deep"):
        parse("key=" + "[" * 100_000)


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: pytest.TempPathFactory) -> None:
    with pytest.raises(CommandError, match="No such file"):
        read_text(f"{tmp_path}/none")


def test_a_file_that_is_not_text_is_a_usage_error(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("input") / "binary"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CommandError, match="not UTF-8"):
        read_text(str(path))


def test_a_file_is_read_whole(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("input") / "text"
    path.write_text("ümlaut\n")
    assert read_text(str(path)) == "ümlaut\n"
