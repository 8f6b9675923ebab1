"""Customer data as Meta hashes it (PROTOCOL 1.5).

A field's canonical value is the one on which the browser's pixel and Meta's parameter builder agree, so that the twin's
hash equals the browser's. Where Meta documents another form, or our tables know better, those values go along: every
hashed key takes a list. What is refused, blank or a hash of nothing becomes no value, and a hash is never hashed again.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from pixeltwin.capi.hashes import HASHES_OF_NOTHING, SHORTEST, SPACE, digits
from pixeltwin.capi.normalize import dates, email, person, phones, places
from pixeltwin.capi.normalize.rule import Rule, Values
from pixeltwin.capi.normalize.text import LONGEST, composed, is_text

NORMALIZERS: Final[Mapping[str, Rule]] = {
    "em": email.EMAIL,
    "ph": phones.PHONE,
    "fn": person.NAME,
    "ln": person.NAME,
    "ge": person.GENDER,
    "db": dates.BIRTHDAY,
    "ct": places.CITY,
    "st": places.STATE,
    "zp": places.POSTCODE,
    "country": places.COUNTRY,
    "external_id": person.EXTERNAL_ID,
    "f5first": person.FIRST_FIVE,
    "f5last": person.FIRST_FIVE,
    "fi": person.INITIAL,
    "dobd": dates.DAY,
    "dobm": dates.MONTH,
    "doby": dates.YEAR,
}
META_NAMES: Final[Mapping[str, str]] = {  # Meta's keys by what people call them
    **dict.fromkeys(("email", "e_mail", "mail"), "em"),
    **dict.fromkeys(("phone", "phone_number"), "ph"),
    **dict.fromkeys(("first_name", "firstname"), "fn"),
    **dict.fromkeys(("last_name", "lastname", "surname"), "ln"),
    "gender": "ge",
    **dict.fromkeys(("birthday", "birthdate", "date_of_birth", "dob"), "db"),
    "city": "ct",
    "state": "st",
    **dict.fromkeys(("zip", "zip_code", "zipcode", "postcode", "postal_code"), "zp"),
}
MD5_DIGITS: Final = 32
MOST_NAMES: Final = 10_000  # spellings of names of countries and states whose hashes are remembered, a megabyte or two
_hashes_of_names: dict[tuple[str, str], tuple[str, ...]] = {}


class Normalised(NamedTuple):
    """What a text is to Meta. `canonical` is None where refused; `also` are further values to send, plain as well.

    `kept`: the text was a hash already, and `canonical` is that hash.
    """

    canonical: str | None
    also: tuple[str, ...] = ()
    kept: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def sha256(self) -> str | None:
        return self.canonical if self.kept or self.canonical is None else sha256(self.canonical.encode()).hexdigest()


class Done(NamedTuple):
    """A step of normalising, and the text after it."""

    step: str
    text: str


def hashes(field: str, value: str, default_country: str | None = None) -> tuple[str, ...]:
    """The SHA-256 values to send for a field's plaintext, canonical first; a hash is kept. Empty: send nothing.

    Raises KeyError for a field that Meta does not hash.
    """
    rule, text = NORMALIZERS[field], value.strip(SPACE)
    if rule.by_table and (remembered := _hashes_of_names.get((field, text))):
        return remembered
    if len(text) >= SHORTEST and (known := digits(text)):
        return () if known in HASHES_OF_NOTHING else (known,)
    values = _values(rule, text, default_country)
    try:
        if len(values) == 1:  # most; a list of one takes longer
            return (sha256(values[0].encode()).hexdigest(),) if values[0] else ()
        found = tuple([sha256(further.encode()).hexdigest() for further in dict.fromkeys(values) if further])
    except UnicodeEncodeError:  # half of a surrogate pair
        return ()
    if rule.by_table and values[1] and len(text) < SHORTEST and len(_hashes_of_names) < MOST_NAMES:
        _hashes_of_names[field, text] = found
    return found


def hashed(field: str, value: str) -> str | None:
    """The first of `hashes`; None where there is nothing to send."""
    return next(iter(hashes(field, value)), None)


def normalise(field: str, value: str, default_country: str | None = None) -> Normalised:
    """What `hashes` hashes, and what to tell people about it. Raises KeyError for a field that Meta does not hash."""
    rule, text = NORMALIZERS[field], value.strip(SPACE)
    if known := digits(text):
        return _kept(known)
    if not is_text(text):
        return Normalised(None, warnings=("is no text that UTF-8 can hold",))
    canonical, *more = _values(rule, text, default_country)
    also = tuple(dict.fromkeys(further for further in more if further and further != canonical))
    doubts = tuple(rule.doubts(composed(text), (canonical, *also), default_country))
    return Normalised(canonical or None, also, warnings=doubts)


def explain(field: str, value: str, default_country: str | None = None) -> tuple[Done, ...]:
    """The steps from the text to its canonical value. They end where it is refused: with an empty text."""
    text = value.strip(SPACE)
    done = [Done("white space around it removed", text)]
    if known := digits(text):
        return (*done, Done("hashed already: kept, in lower case", known))
    done += _steps(NORMALIZERS[field], text)
    canonical = normalise(field, value, default_country).canonical
    if canonical and canonical != done[-1].text:
        done.append(Done(f"completed for {default_country}", canonical))
    return tuple(done)


def _steps(rule: Rule, text: str) -> Iterator[Done]:
    if (joined := composed(text)) != text:
        yield Done("letters and their accents joined (NFC)", joined)
    text = joined
    for says, work in rule.steps:
        if text:
            yield Done(says, text := work(text))


def is_country(code: str) -> bool:
    """Whether the code can be a default country."""
    return phones.is_country(code)


def _values(rule: Rule, text: str, country: str | None) -> Values:
    """All values, the canonical one first, or "" in its place. What the pixel makes of text that is not NFC is last."""
    if len(text) > LONGEST:
        return ("",)
    joined = canonical = text if text.isascii() else composed(text)
    for work in rule.works:  # Rule.canonical, without the call
        canonical = work(canonical)
    values = rule.values(joined, canonical, country)
    return values if joined is text or joined == text else (*values, rule.canonical(text))


def _kept(known: str) -> Normalised:
    if known in HASHES_OF_NOTHING:
        return Normalised(None, warnings=("the hash of nothing: not sent",))
    old = ("an MD5 value: kept, but Meta documents SHA-256 only",) if len(known) == MD5_DIGITS else ()
    return Normalised(known, kept=True, warnings=old)
