"""Check digits of the formats that have them. Each function takes ASCII bytes and says whether they are sound."""

from typing import Final

_IBAN_LENGTHS: Final = {
    b"AD": 24, b"AE": 23, b"AL": 28, b"AT": 20, b"AZ": 28, b"BA": 20, b"BE": 16, b"BG": 22, b"BH": 22, b"BR": 29,
    b"BY": 28, b"CH": 21, b"CR": 22, b"CY": 28, b"CZ": 24, b"DE": 22, b"DK": 18, b"DO": 28, b"EE": 20, b"EG": 29,
    b"ES": 24, b"FI": 18, b"FO": 18, b"FR": 27, b"GB": 22, b"GE": 22, b"GI": 23, b"GL": 18, b"GR": 27, b"GT": 28,
    b"HR": 21, b"HU": 28, b"IE": 22, b"IL": 23, b"IQ": 23, b"IS": 26, b"IT": 27, b"JO": 30, b"KW": 30, b"KZ": 20,
    b"LB": 28, b"LC": 32, b"LI": 21, b"LT": 20, b"LU": 20, b"LV": 21, b"LY": 25, b"MC": 27, b"MD": 24, b"ME": 22,
    b"MK": 19, b"MR": 27, b"MT": 31, b"MU": 30, b"NL": 18, b"NO": 15, b"PK": 24, b"PL": 28, b"PS": 29, b"PT": 25,
    b"QA": 29, b"RO": 24, b"RS": 22, b"SA": 24, b"SC": 31, b"SE": 24, b"SI": 19, b"SK": 24, b"SM": 27, b"ST": 25,
    b"SV": 28, b"TL": 23, b"TN": 24, b"TR": 26, b"UA": 29, b"VA": 22, b"VG": 24, b"XK": 20,
}  # fmt: skip
IBAN_COUNTRIES: Final = tuple(code.decode() for code in _IBAN_LENGTHS)
"""Countries whose account numbers are known here (SWIFT's IBAN registry)."""

_DNI_LETTERS: Final = b"TRWAGMYFPDXBNJZSQVHLCKE"
_HETU_LETTERS: Final = b"0123456789ABCDEFHJKLMNPRSTUVWXY"
_CODICE_ODD: Final = (
    1,
    0,
    5,
    7,
    9,
    13,
    15,
    17,
    19,
    21,
    2,
    4,
    18,
    20,
    11,
    3,
    6,
    8,
    12,
    14,
    16,
    10,
    22,
    25,
    24,
    23,
)
_VERHOEFF_PRODUCT: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_VERHOEFF_SHIFT: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 5, 7, 6, 2, 8, 3, 0, 9, 4),
    (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0),
    (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5),
    (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)


def luhn(digits: bytes) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, byte in enumerate(reversed(digits)):
        number = byte - 48
        total += number if place % 2 == 0 else number * 2 - (9 if number > 4 else 0)  # noqa: PLR2004 - two digits add up
    return total % 10 == 0


def verhoeff(digits: bytes) -> bool:
    """The dihedral check of Aadhaar numbers."""
    check = 0
    for place, byte in enumerate(reversed(digits)):
        check = _VERHOEFF_PRODUCT[check][_VERHOEFF_SHIFT[place % 8][byte - 48]]
    return check == 0


def iban_length(country: bytes) -> int:
    """Return how long account numbers of ``country`` are; 0 where it has none."""
    return _IBAN_LENGTHS.get(country, 0)


def iban(compact: bytes) -> bool:
    """ISO 13616: upper case, without spaces; modulo 97 by ISO/IEC 7064."""
    if len(compact) != iban_length(compact[:2]) or not compact[2:4].isdigit():
        return False
    return int("".join(str(int(chr(byte), 36)) for byte in compact[4:] + compact[:4])) % 97 == 1


def nhs(digits: bytes) -> bool:
    """Ten digits; modulo 11 (NHS Data Dictionary)."""
    check = 11 - sum((byte - 48) * (10 - place) for place, byte in enumerate(digits[:9])) % 11
    return check != 10 and digits[9] - 48 == check % 11  # noqa: PLR2004 - no number has this check digit


def cpf(digits: bytes) -> bool:
    """Brazil's number of natural persons: eleven digits, two of them checks."""
    if len(set(digits)) == 1:
        return False
    for length in (9, 10):
        weighed = sum((byte - 48) * (length + 1 - place) for place, byte in enumerate(digits[:length]))
        if weighed * 10 % 11 % 10 != digits[length] - 48:
            return False
    return True


def dni(value: bytes) -> bool:
    """Spain's DNI and NIE: the letter is the number modulo 23. Upper case, without separators."""
    number = value[:-1].translate(bytes.maketrans(b"XYZ", b"012"))
    return number.isdigit() and _DNI_LETTERS[int(number) % 23] == value[-1]


def nir(digits: bytes) -> bool:
    """France's social security number: thirteen digits and their complement modulo 97."""
    return 97 - int(digits[:13]) % 97 == int(digits[13:])


def hetu(value: bytes) -> bool:
    """Finland's personal identity code: ddmmyy, a century sign, three digits and a check character."""
    return _HETU_LETTERS[int(value[:6] + value[7:10]) % 31] == value[10]


def codice_fiscale(value: bytes) -> bool:
    """Italy's tax code: sixteen characters, the last one a check. Upper case."""
    total = 0
    for place, byte in enumerate(value[:15]):
        number = byte - 48 if byte < 58 else byte - 65  # noqa: PLR2004 - digits stand before letters
        total += _CODICE_ODD[number] if place % 2 == 0 else number
    return total % 26 == value[15] - 65
