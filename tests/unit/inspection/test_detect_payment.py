import pytest

from aos.inspection.detect_payment import is_card
from tests.unit.inspection.make import AMEX, IBAN, MASTERCARD, VISA, grouped, luhn_completed, texts_found

UNIONPAY = luhn_completed("62" + "0" * 13 + "12" + "3")
FOUND = {
    "a card number": (f"pay {VISA} now", VISA),
    "in groups": (f"pay {grouped(VISA)} now", grouped(VISA)),
    "with dashes": (f"pay {grouped(MASTERCARD, '-')}.", grouped(MASTERCARD, "-")),
    "in groups of four, six and five": (f"{AMEX[:4]} {AMEX[4:10]} {AMEX[10:]}", f"{AMEX[:4]} {AMEX[4:10]} {AMEX[10:]}"),
    "digit by digit": (" ".join(VISA), " ".join(VISA)),
    "between letters": (f"card{VISA}end", VISA),
    "of eighteen digits": (UNIONPAY, UNIONPAY),
    "after another number": (f"1234 {grouped(VISA)}", grouped(VISA)),
    "after a number with a point": (f"1.41 {VISA}", VISA),
    "before a full stop": (f"It is {VISA}.", VISA),
    "an account number": (f"to {IBAN}, thanks", IBAN),
    "an account number in groups": (f"to {grouped(IBAN)} today", grouped(IBAN)),
    "an account number in small letters": (IBAN.lower(), IBAN.lower()),
    "after what looks like a country": (f"ab12 {IBAN}", IBAN),
    "a card's code": ("CVV: 123", "123"),
    "a card's code in words": ("the security code is 1234", "1234"),
}  # fmt: skip
NOT_FOUND = {
    "a number with a wrong check digit": VISA[:-1] + "2",
    "a number of no issuer": luhn_completed("9" + "1" * 14),
    "a longer number": "7" + VISA,
    "digits after a point": f"0.{VISA}",
    "milliseconds": "1732300000000",
    "a date and time": "2024-05-01 10:20:30",
    "a uuid": "550e8400-e29b-41d4-a716-446655440000",
    "two-digit numbers": "41 11 11 11 11 11 11 11",
    "mixed separators": "4111 1111-1111 1111",
    "a hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "an account number with a wrong check": IBAN[:-1] + "1",
    "an account number that goes on": IBAN + "7",
    "three digits of nothing": "room 123",
}


@pytest.mark.parametrize(("text", "value"), FOUND.values(), ids=FOUND)
def test_payment_data_is_found(text: str, value: str) -> None:
    assert texts_found(text, "payment") == [("payment", value)]


@pytest.mark.parametrize("text", NOT_FOUND.values(), ids=NOT_FOUND)
def test_other_numbers_are_not_payment_data(text: str) -> None:
    assert texts_found(text, "payment") == []


def test_two_cards_in_a_row_are_two_cards() -> None:
    text = f"{grouped(VISA)} {grouped(MASTERCARD)}"
    assert texts_found(text, "payment") == [("payment", grouped(VISA)), ("payment", grouped(MASTERCARD))]


@pytest.mark.parametrize("digits", [b"", b"4", b"4" * 13, b"4" * 20])
def test_no_other_length_is_a_card(digits: bytes) -> None:
    assert not is_card(digits)


def test_a_megabyte_of_digits_is_judged_in_linear_time() -> None:
    assert texts_found("1234 " * 200_000, "payment") == []
