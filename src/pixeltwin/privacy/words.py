"""The words of an address, and which of them tell that something in it may be personal.

They stand between `/?&;#!=[].`; letter case, a hyphen or an underscore makes no difference. `glance_for` makes one
pattern of them and of what the filters look for, so that a text is read once: most hold nothing of all that.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

from pixeltwin.patterns import finder

BETWEEN: Final = b"/?&;#!=[]."
SPACES: Final = bytes.maketrans(BETWEEN, b" " * len(BETWEEN))
WITHIN: Final = b"-_"
BEFORE_NAMES: Final = "/?;#"  # and &
# after these a path goes on with what opens an account or confirms one
LINKS: Final = frozenset(
    (
        *(b"password", b"passwort", b"reset", b"resetpassword", b"passwordreset", b"passwordresetconfirm"),
        *(b"forgotpassword", b"newpassword", b"setpassword", b"token", b"session", b"auth", b"login", b"signin"),
        *(b"magic", b"magiclink", b"magiclogin", b"confirm", b"confirmemail", b"emailconfirm", b"optin"),
        *(b"verify", b"verifyemail", b"activate", b"activation", b"unsubscribe", b"invite", b"invitation"),
    )
)

# for patterns
LONGEST_PATTERN: Final = 100_000  # characters; with a list of more words each address is looked at closely
HYPHENS: Final = rf"[{re.escape(WITHIN.decode())}]*"
BOUNDARY: Final = rf"[\s{re.escape(BETWEEN.decode())}]"
WORD_BEGINS: Final = rf"(?:^|{BOUNDARY}){HYPHENS}"
NO_LETTERS: Final = rf"[^A-Za-z=&{BEFORE_NAMES}]*"  # between those of a word in a name
BOUNDARY_IN_NAME: Final = r"[\s!\[\].?]"  # a question mark stands for what is no character
REST_OF_NAME: Final = r"[^=&/;#]*="


def words_of(text: str) -> list[bytes]:
    """The words of an address or a part of it; as bytes, which are translated in a tenth of the time."""
    return text.lower().encode("utf-8", "replace").translate(SPACES, WITHIN).split()


def names_of(text: str) -> list[str]:
    """Whatever stands before a `=`, back to where the name of a parameter may begin."""
    for character in BEFORE_NAMES:
        text = text.replace(character, "&")
    return [part.rpartition("&")[2] for part in text.split("=")[:-1]]


@cache
def private_names(parameters: frozenset[str]) -> frozenset[tuple[bytes, ...]]:
    """The words of the names of parameters that go."""
    return frozenset(tuple(words_of(name)) for name in parameters)


@cache
def private_words(parameters: frozenset[str]) -> frozenset[bytes]:
    """The words without which no name is one of these parameters."""
    return frozenset().union(*(words[-1:] for words in private_names(parameters)))


@cache
def glance_for(hints: str, names: frozenset[str], parameters: frozenset[str]) -> Callable[[str], bool]:
    """Tells whether there may be anything to do about a text whose percent codes are undone.

    That is: what a filter's hint finds, a name with one of the words `names` in it, the name of one of `parameters`, or
    a word behind which a path opens an account.
    """
    private = _any_of(word.decode() for word in private_words(parameters))
    if len(private) > LONGEST_PATTERN:
        return lambda text: True
    links = _any_of(word.decode() for word in LINKS)
    patterns = ["[@%]", rf"(?i:{WORD_BEGINS}(?:{links}){HYPHENS}(?:{BOUNDARY}|$))"]
    if private:
        patterns.append(rf"(?i:{WORD_BEGINS}(?:{private}){HYPHENS}(?:{BOUNDARY_IN_NAME}{REST_OF_NAME}|=))")
    if names:
        letters = (NO_LETTERS.join(f"[{letter}{letter.upper()}]" for letter in name) for name in names)
        patterns.append(rf"(?:{'|'.join(letters)}){REST_OF_NAME}")
    if hints:
        patterns.append(hints)
    return finder("|".join(patterns))


def _any_of(words: Iterable[str]) -> str:
    return "|".join(HYPHENS.join(map(re.escape, word)) for word in words)
