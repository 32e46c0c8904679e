import pytest
from pydantic import JsonValue

from aos.workflow.expression import ValueExpression
from aos.workflow.inference import Inference, told
from aos.workflow.template import Template
from aos.workflow.types import (
    ANYTHING,
    BOOLEAN,
    INTEGER,
    LIST,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    Either,
    Exact,
    Listed,
    Perhaps,
    Record,
    Row,
    Type,
)

SCOPE: dict[str, Type] = {
    "input": Record(
        {"name": STRING, "count": INTEGER, "list": Listed(STRING), "note": Perhaps(STRING)}, "input"
    ),
    "steps": Record({"a": Record({"output": Record({"x": INTEGER})}, "step a")}),
    "index": INTEGER,
}


def inferred(source: str) -> tuple[Type, list[str]]:
    complaints: list[str] = []
    inference = Inference(SCOPE, lambda path, message: complaints.append(f"{path}: {message}"))
    return inference.expression(ValueExpression(source), "p"), complaints


@pytest.mark.parametrize(
    ("source", "type_"),
    [
        ("null", NULL),
        ("true", BOOLEAN),
        ("1", INTEGER),
        ("1u", INTEGER),
        ("1.5", NUMBER),
        ("'x'", Exact("x")),
        ("input.name", STRING),
        ("input['name']", STRING),
        ("input.note", STRING),
        ("input.?name", Perhaps(STRING)),
        ("input[?'name']", Perhaps(STRING)),
        ("input.?other", Perhaps(ANYTHING)),
        ("input.?name.size", Perhaps(ANYTHING)),
        ("input.?note.orValue('x')", Either((STRING, Exact("x")))),
        ("input.?note.or(optional.of(1))", Perhaps(Either((STRING, INTEGER)))),
        ("optional.none()", Perhaps(ANYTHING)),
        ("input.?note.value()", STRING),
        ("input.?note.hasValue()", BOOLEAN),
        ("input.?note.optMap(n, n + 'x')", Perhaps(STRING)),
        ("input.?note.optMap(n, n + 'x').orValue('')", Either((STRING, Exact("")))),
        ("true ? input.?name : input.?count", Perhaps(Either((STRING, INTEGER)))),
        ("has(input.name)", BOOLEAN),
        ("has(steps.a)", BOOLEAN),
        ("steps.a", Record({"output": Record({"x": INTEGER})}, "step a")),
        ("steps.a.output.x", INTEGER),
        ("steps['a'].output.x", INTEGER),
        ("steps.?a.output.x", Perhaps(INTEGER)),
        ("steps.other.output", ANYTHING),
        ("item.x", ANYTHING),
        ("input.list[0]", STRING),
        ("input.list[index]", ANYTHING),
        ("input.name + '!'", STRING),
        ("input.count + 1", INTEGER),
        ("input.count + item", INTEGER),
        ("1.5 + item", NUMBER),
        ("item + item", ANYTHING),
        ("input.list + ['x']", Listed(Either((STRING, Exact("x"))))),
        ("input.count * 2", NUMBER),
        ("input.count > 1 && true", BOOLEAN),
        ("size(input.list)", INTEGER),
        ("input.name.split(',')", Listed(STRING)),
        ("input.list.join(',')", STRING),
        ("true ? input.name : item", ANYTHING),
        ("true ? input.name : dyn(1)", Either((STRING, INTEGER))),
        ("[input.name, ?input.?note]", Row((STRING, Perhaps(STRING)))),
        ("{'a': input.name, ?'b': input.?note}", Record({"a": STRING, "b": Perhaps(STRING)})),
        ("{input.name: 1}", OBJECT),
        ("input.list.map(x, x)", Listed(STRING)),
        ("input.list.map(x, x != '', 1)", Listed(INTEGER)),
        ("input.list.filter(x, x != '')", Listed(STRING)),
        ("input.list.all(x, x != '')", BOOLEAN),
        ("input.list.exists(x, x != '')", BOOLEAN),
        ("input.list.exists_one(x, x != '')", BOOLEAN),
        ("input.map(key, key)", Listed(STRING)),
        ("item.map(x, x)", Listed(ANYTHING)),
        ("[input.?note].map(x, x)", Listed(STRING)),
        ("[1, 2].map(x, x * 2)", Listed(NUMBER)),
        ("dyn(input.list)", Listed(STRING)),
        ("type(1) == type(2)", BOOLEAN),
        ("item.list.filter(x, true).size() + 1", INTEGER),
    ],
)  # fmt: skip
def test_an_expression_has_the_type_that_is_known_of_it(source: str, type_: Type) -> None:
    assert inferred(source) == (type_, [])


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("input.other", "p: input has no field 'other': input has count, list, name, note"),
        ("input.name.x.y", "p: input.name is string, which has no field 'x'"),
        ("input.count[0]", "p: input.count is integer, which has no items"),
        ("input.count.map(x, x)", "p: input.count is integer, and only lists and maps can be gone through"),
        ("[input.other]", "p: input has no field"),
        ("{'a': input.other}", "p: input has no field"),
        ("has(input.name.x.y)", "p: input.name is string"),
        ("size(input.other) > 1 ? 1 : 2", "p: input has no field"),
        ("input.list.all(x, x.y == 1)", "p: x is string, which has no field 'y'"),
        ("input.list.exists_one(x, x.y == 1)", "p: x is string"),
        ("input.list.map(x, x.y > 1, x)", "p: x is string"),
        ("input.?note.optMap(n, n.x).hasValue()", "p: n is string"),
        ("steps.a.output.y", "p: steps.a.output has no field 'y'"),
        ("steps['a'].outputs", "p: steps['a'] has no field 'outputs'"),
    ],
)
def test_what_is_not_there_is_told(source: str, complaint: str) -> None:
    _, complaints = inferred(source)
    assert len(complaints) == 1
    assert complaints[0].startswith(complaint)


def test_a_template_has_the_type_of_its_parts() -> None:
    value: JsonValue = {
        "a": "${input.name}",
        "b": ["${input.?note}", 1],
        "c": "x ${input.count}",
        "d": {"e": 1},
    }
    root = Template.compile(value).root
    complaints: list[str] = []
    found = Inference(SCOPE, lambda path, _: complaints.append(path)).part(root, "spec")
    assert found == Record(
        {"a": STRING, "b": Row((Perhaps(STRING), Exact(1))), "c": STRING, "d": Exact({"e": 1})}
    )
    Inference(SCOPE, lambda path, _: complaints.append(path)).part(
        Template.compile({"a": ["${input.x}"], "b": "${input.y}!"}).root, "spec"
    )
    assert complaints == ["spec.a[0]", "spec.b"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("input.a.b", "input.a.b"),
        ("input['a'].b", "input['a'].b"),
        ("input.?a.b", "input.?a.b"),
        ("input[?'a']", "input.?a"),
        ("input[?item]", "input.?..."),
        ("input.a[0].b[item]", "input.a[...].b[...]"),
        ("(input.a + input.b).c", "(...).c"),
    ],
)
def test_a_place_is_told_as_it_is_written(source: str, text: str) -> None:
    assert told(ValueExpression(source).tree) == text


def test_a_list_of_unknown_things_is_at_least_a_list() -> None:
    assert inferred("dyn([1]) == [1] ? item.x : item.y") == (ANYTHING, [])
    assert inferred("item.x.split(',')")[0] == Listed(STRING)
    assert LIST.kinds() == {"array"}
