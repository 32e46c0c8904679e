import pytest

from tests.unit.inspection.make import EMAIL, SSN, luhn_completed, texts_found

PERSONNUMMER = luhn_completed("811218" + "987").replace("811218", "811218-", 1)
FOUND = {
    "an address of mail": (f"write to {EMAIL}, please", EMAIL),
    "an address with a plus": ("a+b_c@mail.example.co.uk", "a+b_c@mail.example.co.uk"),
    "an address in another script": ("jürgen@müller.example", "jürgen@müller.example"),
    "an international phone": ("call +49 (0)30 1234567 now", "+49 (0)30 1234567"),
    "a phone without separators": ("+14155550123", "+14155550123"),
    "an American phone": ("(415) 555-0123", "(415) 555-0123"),
    "an American phone with dots": ("415.555.0123", "415.555.0123"),
    "a French phone": ("01 23 45 67 89", "01 23 45 67 89"),
    "a phone in context": ("Tel: 0171 2345678", "0171 2345678"),
    "digits in context": ("mobile number is 4155550123", "4155550123"),
    "a social security number": (f"ssn {SSN}", SSN),
    "the same with blanks": (f"is {SSN.replace('-', ' ')}", SSN.replace("-", " ")),
    "the same in context alone": (f"SSN: {SSN.replace('-', '')}", SSN.replace("-", "")),
    "a British number": ("AB 12 34 56 C", "AB 12 34 56 C"),
    "a Spanish number": ("DNI 12345678Z", "12345678Z"),
    "a French number": ("2 55 08 14 168 025 38", "2 55 08 14 168 025 38"),
    "an Italian code": ("RSSMRA85T10A562S", "RSSMRA85T10A562S"),
    "a Brazilian number": ("529.982.247-25", "529.982.247-25"),
    "a Finnish code": ("131052-308T", "131052-308T"),
    "a Swedish number": (PERSONNUMMER, PERSONNUMMER),
    "a passport": ("passport no. C01X00T47", "C01X00T47"),
    "a driving licence": ("driver's license: D123-4567-8901", "D123-4567-8901"),
    "an address of the network": ("from 8.8.4.4 today", "8.8.4.4"),
    "a long address of the network": ("from 2001:4860:4860::8888 today", "2001:4860:4860::8888"),
    "a full address of the network": ("2001:4860:4860:0:0:0:0:8844", "2001:4860:4860:0:0:0:0:8844"),
    "a birthday": ("Date of birth: 12 March 1980.", "12 March 1980"),
    "a birthday in numbers": ("DOB 03/12/1980", "03/12/1980"),
    "a birthday in a sentence": ("she was born on March 12, 1980", "March 12, 1980"),
    "a German birthday": ("geboren am 12.03.1980", "12.03.1980"),
}  # fmt: skip
NOT_FOUND = {
    "a picture's name": "logo@2x.png",
    "a package": "left-pad@1.3.0",
    "an at sign": "meet @ noon",
    "no address": "999.1.1.1",
    "a private address": "10.0.0.1",
    "a version": "1.2.3",
    "a clock": "10:20:30",
    "a namespace of code": "std::vector",
    "a name in code": "a::b",
    "a date": "2024-05-01",
    "a number in an id": "order-123-45-67890",
    "an area never given out": "666-45-6789",
    "a group never given out": "123-00-6789",
    "a British prefix never given": "GB 12 34 56 C",
    "a wrong Spanish letter": "12345678A",
    "a sum": "+12 %",
    "a range": "1980-1990",
    "a day that is none": "991341-1234",
}


@pytest.mark.parametrize(("text", "value"), FOUND.values(), ids=FOUND)
def test_personal_data_is_found(text: str, value: str) -> None:
    assert texts_found(text, "pii") == [("pii", value)]


@pytest.mark.parametrize("text", NOT_FOUND.values(), ids=NOT_FOUND)
def test_other_text_is_not_personal_data(text: str) -> None:
    assert texts_found(text, "pii") == []
