import pytest

from tests.unit.inspection.make import texts_found

NHS = "401 " + "023 " + "2137"
MBI = "1EG4" + "-TE5" + "-MK73"
FOUND = {
    "a health service number": (f"see {NHS} please", NHS),
    "a health service number in context": ("NHS number: 9434765919", "9434765919"),
    "a record number": ("MRN: 00-4471-92", "00-4471-92"),
    "a record number in words": ("medical record number AB123456 was", "AB123456"),
    "a patient's id": ("Patient ID #998877", "998877"),
    "a Medicare number": (f"card {MBI}", MBI),
    "an insured person's number": ("Versichertennummer A123456780", "A123456780"),
    "a diagnosis": ("Diagnosis: E11.9 since May", "E11.9"),
    "several codes": ("ICD-10 codes: E11.9, I10; F32.1", "E11.9, I10; F32.1"),
    "in a sentence": ("she was diagnosed with J45.909", "J45.909"),
}
NOT_FOUND = {
    "a code without a diagnosis": "put it in locker E11.9",
    "ten digits": "4010232137",
    "a wrong check digit": "401 023 2138",
    "a word after MRN": "the MRN field is required",
    "a diagnosis without code": "diagnosis pending",
}


@pytest.mark.parametrize(("text", "value"), FOUND.values(), ids=FOUND)
def test_health_data_is_found(text: str, value: str) -> None:
    assert texts_found(text, "phi") == [("phi", value)]


@pytest.mark.parametrize("text", NOT_FOUND.values(), ids=NOT_FOUND)
def test_other_text_is_not_health_data(text: str) -> None:
    assert texts_found(text, "phi") == []
