"""Health data: record and insurance numbers, NHS numbers by their check digit, ICD-10 codes where the text speaks of a diagnosis."""

from typing import Final

from aos.inspection.checksums import nhs
from aos.inspection.detector import Detector, anything, digits_alone, digits_of, where

PHI: Final = "phi"

_MBI: Final = (
    r"[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y][0-9]-?[AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y][0-9]"
    r"-?[AC-HJKMNP-RT-Y]{2}[0-9]{2}"
)
_ICD: Final = r"[A-TV-Z][0-9][0-9AB](?:\.[0-9A-TV-Z]{1,4})?"
_LEADS: Final = r"[\"']?(?:[ \t]?(?:is|was|no\.?|number|#)){0,2}[ \t]?[:=#]?[ \t]?[\"']?"
_NUMBERED: Final = (
    r"mrn|medical record|patient (?:id|identifier|number|no)|chart (?:number|no)|hospital number"
    r"|health (?:insurance|plan|card)(?: (?:id|policy|card|member))?|insurance (?:member )?id|member id"
    r"|medicare|medicaid|krankenversicherten(?:nummer|nr)|versicherten(?:nummer|nr)|kvnr|nhs"
)


def _is_listed(value: bytes) -> bool:
    """NHS numbers are given out from 400 and 600 on, the others are Scotland's, Northern Ireland's or not in use."""
    digits = digits_of(value)
    return digits[:1] in (b"4", b"6", b"7") and nhs(digits)


def _has_digits(value: bytes) -> bool:
    return len(digits_of(value)) >= 4  # noqa: PLR2004 - fewer name nobody


DETECTORS: Final = (
    Detector(
        "NHS number",
        PHI,
        r"[0-9]{3}[ -][0-9]{3}[ -][0-9]{4}",
        r"\b[0-9]{3}(?: [0-9]{3} |-[0-9]{3}-)[0-9]{4}\b",
        digits_alone(_is_listed),
    ),
    Detector("Medicare beneficiary", PHI, _MBI, rf"\b{_MBI}\b", anything),
    Detector(
        "record or insurance number",
        PHI,
        rf"(?i)(?:{_NUMBERED})",
        rf"(?i)\b(?:{_NUMBERED}){_LEADS}([A-Z]{{0,4}}[0-9][A-Z0-9]*(?:[ -][0-9][A-Z0-9]*){{0,4}})\b",
        where(_has_digits),
    ),
    Detector(
        "ICD-10 code",
        PHI,
        r"(?i)icd|diagnos|dx",
        rf"(?i:\bicd(?:[ -]?10)?(?:[ -]?(?:cm|gm))?(?: code)?s?|diagnos(?:is|es|ed(?: with)?|e)|\bdx)\b"
        rf"[^\x00\n.]{{0,60}}?\b({_ICD}(?:[ \t]?[,;/][ \t]?{_ICD}){{0,15}})\b",
        anything,
    ),
)
