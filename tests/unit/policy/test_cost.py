import pytest
from cel_expr_python import cel
from hypothesis import given
from hypothesis import strategies as st

from aos.policy.cost import (
    FUNCTIONS,
    MAX_WORK_NS,
    NOTHING,
    SIZES,
    Allowance,
    Size,
    room_for,
    size_of,
    told,
)
from aos.policy.expression import Activation, Compiled, Expression, ExpressionError, Language
from aos.policy.template import Template

WHOLE = SIZES[-1]


@pytest.mark.parametrize(
    "source",
    [
        "args.recipients.all(r, r.endsWith('@example.com'))",
        "args.?territory.orValue(agent.labels.territory) == agent.labels.territory",
        "args.amount > 1000 && args.currency in ['EUR', 'USD']",
        "args.email.matches('^[^@]+@example[.]com$')",
        "args.text.lowerAscii().contains('password')",
        "args.items.exists(i, i.tags.exists(t, t == 'x'))",
        "now.getHours('Europe/Paris') < 18 && now.getHours('+01:00') > 8 && now.getDayOfWeek() != 0",
        "task.depth < 2 && 'planner' in task.lineage",
        "action.split('_')[0] == 'get'",
        "args.?list.optMap(l, size(l)).orValue(0) <= 50",
    ],
)
def test_common_conditions_may_read_64_kib_and_1024_values(source: str) -> None:
    assert room_for([Expression(source).works]) == WHOLE


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("args.x.matches(args.y)", "matches() needs a pattern that is written out"),
        ("args.x.matches('a' + 'b')", "matches() needs a pattern that is written out"),
        ("args.x.matches('(')", "is not a usable RE2 expression"),
        ("args.x.matches('(a?){1000}b')", "instructions, and may take 2000"),
        (" && ".join(f"args.x.matches('(a{{1,30}}){{1,30}}{end}')" for end in "bcdefg"), "it may take"),
        ("'%s'.format([args.x]) == ''", "format() is not available: what it makes has no bound"),
        ("now.getHours(args.zone) == 1", "a time zone must be written out"),
        ("now.getHours('file:/etc/passwd') == 1", "a time zone must be written out"),
        ("now.getHours('../x') == 1", "a time zone must be written out"),
        ("[[1].all(a, [1].all(b, true))].all(a, [1].all(b, [1].all(c, true)))", "may stand 2 deep in each other"),
        ("args.x.split('').map(x, x).size() > 1", "it may take"),
        ("args.l.map(x, args.l).map(x, args.l + x).map(x, x + x).size() > 1", "it may take"),
        ("google.protobuf.Duration{seconds: 1} == duration('1s')", "google.protobuf.Duration{} is not available"),
        ("args.?x" + ".optMap(a, a)" * 10 + ".hasValue()", "its macros make more than"),
        ("args.x == '" + "a" * 2048 + "'", "an expression has at most 2048"),
    ],
)  # fmt: skip
def test_attack_25_what_has_no_bound_or_takes_too_long_does_not_compile(source: str, problem: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        Expression(source)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    "source",
    [
        "args.l.map(x, x).size() > 1",
        "args.l.filter(x, x > 3).size() > 1",
        "args.l.all(x, args.l.exists(y, x == y))",
        "args.s.contains(args.t)",
        "args.s.replace(args.t, args.t) == ''",
        "args.s.split('').join(args.t) == ''",
        "args.l.all(x, !args.s.matches('(x|y|z)+b'))",
        "args.l.map(x, string(x)).join(args.s) == ''",
    ],
)
def test_attack_25_what_grows_faster_than_its_input_reads_less(source: str) -> None:
    room = room_for([Expression(source).works])
    assert NOTHING != room != WHOLE
    assert room.fits(WHOLE)


@pytest.mark.parametrize(
    "source",
    [
        "strings.quote(args.x) != '' && args.x.reverse().trim().substring(0, 1).charAt(0) == 'a'",
        "args.x.replace('ab', args.y) == string(bytes(args.x).size()) + args.y",
        "int(args.x) + 1 > 2 || double(args.x) < 1.5 || !bool(args.y) || -args.z == 1",
        "{'a': args.x}['a'] == [args.y][0] && args[?'x'].or(optional.none()).hasValue()",
        "type(args.x) == type(dyn(1)) && duration('1s') < now - timestamp('2026-01-01T00:00:00Z')",
        "args.s.split(',').all(a, a.trim().startsWith('x')) ? args.b : args.c == 1",
    ],
)
def test_work_never_shrinks_as_what_is_read_grows(source: str) -> None:
    works = Expression(source).works
    assert list(works) == sorted(works)
    assert works[0] > 0


def test_conditions_of_one_call_share_the_time() -> None:
    works = Expression("args.email.matches('^[^@]+@example[.]com$')").works
    assert room_for([works]) == WHOLE
    assert room_for([works] * 20).fits(SIZES[-2])
    assert room_for([works] * 100_000) == NOTHING
    assert room_for([]) == WHOLE
    assert room_for([(MAX_WORK_NS + 1,) * len(SIZES)]) == NOTHING


SHORT_LISTS = Allowance(
    250_000_000, (Size(512, 64, 64), Size(2**22, 2**16, 1_000), Size(2**22, 2**16)), frozenset(), "tests"
)


def room_in_short_lists(source: str) -> Size:
    types = {"args": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)}
    return room_for([Compiled(source, Language(types, SHORT_LISTS)).works], SHORT_LISTS)


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("args.l", 2),
        ("args.s.contains('x')", 2),
        ("args.l.all(x, x.a > 1)", 1),
        ("args.l.map(x, x.a)", 1),
        ("args.l.filter(x, x.a > 1).map(x, x.b)", 1),
        ("args.l.map(x, string(x.a)).join(',')", 1),
        ("args.l.map(x, x.tags.map(t, t))", 0),
        ("args.l.all(x, args.l.exists(y, x == y))", 0),
        ("args.s.split(',').map(x, x)", 0),
    ],
)
def test_short_lists_of_large_values_may_be_gone_through(source: str, place: int) -> None:
    assert room_in_short_lists(source) == SHORT_LISTS.sizes[place]


def test_a_template_reads_no_more_than_its_expressions_may() -> None:
    template = Template.compile("c/${args.l.map(x, x).size()}")
    assert template.render({"l": [1, 2]}) == "c/2"
    with pytest.raises(ExpressionError, match="too large to name a record"):
        template.render({"l": list(range(1000))})


@given(st.recursive(st.text(max_size=9) | st.integers(0, 9), lambda item: st.lists(item) | st.dictionaries(st.text(max_size=3), item)))  # fmt: skip
def test_a_size_is_at_least_what_a_value_is_made_of(value: object) -> None:
    def parts(item: object) -> tuple[int, int]:
        if isinstance(item, dict):
            inside = [parts(each) for pair in item.items() for each in pair]
        elif isinstance(item, list):
            inside = [parts(each) for each in item]
        else:
            return (len(str(item).encode(errors="replace")), 0 if isinstance(item, dict | list) else 1)
        keys = len(item) if isinstance(item, dict) else 0
        return sum(text for text, _ in inside), sum(count for _, count in inside) - keys

    size = size_of([value])  # type: ignore[list-item]
    if size is not None:
        text, count = parts(value)
        assert text <= size.text_bytes
        assert count <= size.values


@pytest.mark.parametrize("value", [2**64, "\ud800", "a\0b", {"a\0": 1}, {"a": ["\0"]}])
def test_attack_25_what_conditions_would_see_otherwise_than_tools_has_no_size(value: object) -> None:
    assert size_of([value]) is None  # type: ignore[list-item]


def test_sizes_are_told_in_words() -> None:
    assert (
        told(Size(9, 2), SIZES[0]) == "9 bytes and 2 values, and 512 bytes and 8 values can be judged in time"
    )
    assert told(Size(9, 8, 5), Size(9, 8, 4)) == (
        "9 bytes and 8 values in lists of 5, and 9 bytes and 8 values can be judged in time in lists of 4"
    )
    assert told(None, SIZES[0]).startswith("they hold a number beyond 64 bits, or a text with U+0000")


def test_every_function_with_a_bound_exists() -> None:
    named = {name for name in FUNCTIONS if name.isidentifier()}
    assert {"contains", "matches", "size", "split", "getHours"} <= named


def test_a_search_in_what_may_be_read_is_decided() -> None:
    room = room_for([Expression("args.s.contains(args.t)").works])
    half = int(room.text_bytes) // 2 - 32
    arguments = {"s": "a" * half, "t": "a" * (half // 2) + "b"}
    assert not Expression("args.s.contains(args.t)").evaluate(Activation({"args": arguments})).failure
