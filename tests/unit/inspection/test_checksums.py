from collections.abc import Callable

import pytest

from aos.inspection import checksums
from tests.unit.inspection.make import AMEX, IBAN, MASTERCARD, VISA


@pytest.mark.parametrize("digits", [VISA, MASTERCARD, AMEX])
def test_a_card_number_has_a_sound_check_digit_and_its_neighbours_do_not(digits: str) -> None:
    assert checksums.luhn(digits.encode())
    assert not checksums.luhn((digits[:-1] + str((int(digits[-1]) + 1) % 10)).encode())


def test_ibans_are_judged_by_country_length_and_modulo_97() -> None:
    assert checksums.iban(IBAN.encode())
    assert checksums.iban(b"GB82WEST12345698765432")
    assert not checksums.iban(IBAN.replace("37", "73").encode())
    assert not checksums.iban(IBAN[:-1].encode())
    assert not checksums.iban(b"ZZ" + IBAN[2:].encode())
    assert checksums.iban_length(b"ZZ") == 0


def test_every_single_wrong_digit_of_a_verhoeff_number_is_seen() -> None:
    base = "23412341234"
    check = next(str(digit) for digit in range(10) if checksums.verhoeff(f"{base}{digit}".encode()))
    number = base + check
    for place, digit in enumerate(number):
        wrong = number[:place] + str((int(digit) + 1) % 10) + number[place + 1 :]
        assert not checksums.verhoeff(wrong.encode())


@pytest.mark.parametrize(
    ("check", "sound", "unsound"),
    [
        (checksums.nhs, b"9434765919", b"9434765918"),
        (checksums.nhs, b"4010232137", b"4010232138"),
        (checksums.cpf, b"52998224725", b"52998224724"),
        (checksums.cpf, b"52998224725", b"11111111111"),
        (checksums.dni, b"12345678Z", b"12345678A"),
        (checksums.dni, b"X1234567L", b"X1234567M"),
        (checksums.nir, b"255081416802538", b"255081416802539"),
        (checksums.hetu, b"131052-308T", b"131052-308U"),
        (checksums.codice_fiscale, b"RSSMRA85T10A562S", b"RSSMRA85T10A562T"),
    ],
)  # fmt: skip
def test_national_numbers_are_judged_by_their_check_digits(
    check: Callable[[bytes], bool], sound: bytes, unsound: bytes
) -> None:
    assert check(sound)
    assert not check(unsound)


def test_a_health_number_whose_check_digit_would_be_ten_is_none() -> None:
    without = next(
        number
        for number in range(400_000_000, 400_000_100)
        if not any(checksums.nhs(b"%d%d" % (number, last)) for last in range(10))
    )
    assert sum(int(digit) * (10 - place) for place, digit in enumerate(str(without))) % 11 == 1
