import base64

import orjson
import pytest

from aos.inspection.finder import BUILT_IN, DETECTORS, Finder
from aos.inspection.sizes import MAX_CANDIDATES, MAX_FINDINGS, DataTooLargeError
from tests.unit.inspection import test_detect_payment, test_detect_phi, test_detect_pii, test_detect_secret
from tests.unit.inspection.make import EMAIL, LETTERS, VISA, finder, grouped, texts_found

ROWS = [
    *(("payment", *row) for row in test_detect_payment.FOUND.values()),
    *(("phi", *row) for row in test_detect_phi.FOUND.values()),
    *(("pii", *row) for row in test_detect_pii.FOUND.values()),
    *(("secret", *row) for row in test_detect_secret.IN_CONTEXT.values()),
    *(("secret", value, value) for value in test_detect_secret.KEYS.values()),
]


@pytest.mark.parametrize(("data_class", "text", "_value"), ROWS)
def test_a_document_that_holds_data_is_never_passed_over(data_class: str, text: str, _value: str) -> None:
    found = finder(data_class)
    nested = orjson.dumps({"content": [{"text": orjson.dumps({"x": f"\n{text}\t"}).decode()}]})
    assert found.may_hold(orjson.dumps([text]))
    assert found.may_hold(nested)
    assert found.may_hold(orjson.dumps({text: 1}))


ENCODED = {
    "base64": base64.b64encode(f"pay {VISA} now".encode()).decode(),
    "base64 twice": base64.b64encode(base64.b64encode(f"pay {VISA} now".encode())).decode(),
    "hexadecimal": f"pay {VISA}".encode().hex(),
    "percent": "".join(f"%{ord(character):02x}" for character in VISA),
    "percent twice": "".join(f"%25{ord(character):02x}" for character in VISA),
    "full width": VISA.translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)}),
    "zero width": "\u200b".join(VISA),
    "percent within base64": base64.b64encode("".join(f"%{ord(c):02x}" for c in VISA).encode()).decode(),
}


@pytest.mark.parametrize("text", ENCODED.values(), ids=ENCODED)
def test_attack_16_data_is_found_in_any_writing_and_taken_as_a_whole(text: str) -> None:
    assert texts_found(f"see {text} there", "payment") == [("payment", text)]
    assert finder("payment").may_hold(orjson.dumps({"x": text}))


def test_a_marker_holds_nothing_and_a_made_up_one_does() -> None:
    found = finder()
    assert found.find(b"[redacted:payment,pii] x") == []
    assert found.unmarked(b"a[redacted:secret]b[redacted:nonsense]") == b"ab[redacted:nonsense]"
    assert [span.classes for span in found.find(f"[redacted:{VISA}]".encode())] == [{"payment"}]


def test_only_the_classes_asked_for_are_found() -> None:
    text = f"{EMAIL} {VISA}"
    assert texts_found(text, "pii") == [("pii", EMAIL)]
    assert texts_found(text, "payment") == [("payment", VISA)]


def test_patterns_see_one_text_at_a_time() -> None:
    own = finder("badge", patterns=(("badge", "^B[0-9]{4}$"), ("other", "B")))
    assert [span.start for span in own.find(b"B1234\0xB1234\0B9999")] == [0, 13]
    assert own.patterns


def test_what_hides_behind_something_found_is_found_too() -> None:
    text = f"123-45-6789-{grouped(VISA)}"
    assert [data_class for data_class, _ in texts_found(text)] == ["pii", "payment"]


def test_text_that_shows_more_each_time_is_taken_as_a_whole() -> None:
    own = finder("a", patterns=(("a", "(?:^|\\W)x"),))
    assert own.find(b"x" * 9)[-1].end in (4, 9)


def test_each_detector_has_a_name_of_its_own() -> None:
    assert len({detector.name for detector in DETECTORS}) == len(DETECTORS)


def test_a_long_document_without_data_is_quick_to_pass() -> None:
    assert finder().find((LETTERS[:8] + " and ").encode() * 50_000) == []


def test_many_encoded_values_in_one_text_are_found_in_linear_time() -> None:
    run = base64.b64encode(f"my card is {VISA} ok".encode()).decode()
    assert len(finder("payment").find(f"{run} ".encode() * 1_000)) == 1_000


def test_a_text_with_more_findings_than_can_be_judged_is_too_large() -> None:
    finder = Finder(BUILT_IN)
    some = f"{EMAIL} ".encode()
    assert len(finder.find(some * MAX_FINDINGS)) == MAX_FINDINGS
    with pytest.raises(DataTooLargeError, match=f"more than {MAX_FINDINGS} .*less at once"):
        finder.find(some * (MAX_FINDINGS + 1))


def test_a_text_that_only_looks_like_data_is_bounded_too() -> None:
    with pytest.raises(DataTooLargeError, match=f"more than {MAX_CANDIDATES} .*less at once"):
        Finder(BUILT_IN).find(b"10.0.0.1 " * (MAX_CANDIDATES + 1))
