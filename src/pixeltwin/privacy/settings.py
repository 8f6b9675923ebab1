"""The config section `privacy`: what personal data is looked for in hits and server events, and what becomes of it."""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pixeltwin.kinds import FROZEN
from pixeltwin.memo import Memo, memo_of_names
from pixeltwin.privacy.detector import Detector
from pixeltwin.privacy.filter import filter_type
from pixeltwin.privacy.words import glance_for

if TYPE_CHECKING:
    from pixeltwin.privacy.filter import FilterSettings as Filter
else:
    Filter = filter_type()

EVERY_FILTER: Final[Any] = ("email", "phone", "token")
PARAMETERS: Final = (
    *("email", "e-mail", "mail", "user_email", "customer_email", "email_address"),
    *("phone", "phone_number", "telephone", "tel", "mobile", "mobile_number", "msisdn"),
    *("first_name", "fname", "last_name", "lname", "surname", "full_name", "username"),
    *("birthday", "birthdate", "date_of_birth", "dob", "street", "address", "address1", "address2", "iban", "ssn"),
    *("password", "passwd", "passwort", "pwd", "pass", "passphrase", "pin", "otp", "secret", "client_secret"),
    *("token", "access_token", "refresh_token", "id_token", "auth_token", "reset_token", "login_token", "csrf_token"),
    *("api_key", "jwt", "auth", "authorization", "signature", "session", "session_id", "session_token"),
    *("phpsessid", "jsessionid"),
)
# what Meta itself gives a meaning (PROTOCOL 1.6)
STANDARD: Final = frozenset(
    (
        *("value", "currency", "content_ids", "content_type", "contents", "content_name", "content_category"),
        *("num_items", "order_id", "predicted_ltv", "net_revenue", "search_string", "status"),
        *("delivery_category", "item_number", "customer_segmentation"),
    )
)

Lower = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(str.lower)]


class Section(BaseModel):
    """A part of the section. Errors hide their input, as everywhere in the file."""

    model_config = ConfigDict(**FROZEN, hide_input_in_errors=True)


class CustomDataKeys(Section):
    """The keys of custom data that may go to Meta; case does not matter. `allow` None: all but those of `deny`."""

    allow: frozenset[Lower] | None = None
    deny: frozenset[Lower] = frozenset()

    @cached_property
    def admits_any(self) -> bool:
        """Whether every key may go, as there are no lists."""
        return self.allow is None and not self.deny

    def admits(self, key: str) -> bool:
        """Whether the key may go. Meta's own keys need not be allowed, but can be denied."""
        key = key.lower()
        return key not in self.deny and (self.allow is None or key in self.allow or key in STANDARD)

    def admits_all(self, keys: Iterable[str]) -> bool:
        """Whether all of the keys may go."""
        return self.admits_any or all(map(self.admits, keys))


class Privacy(Section):
    """What becomes of personal data in plain text, in both copies of an event.

    `detect` names what is looked for in addresses and custom data, `found` says whether it is masked or removed with
    all around it. `parameters` of page addresses are always removed. `client_ip` is about the twin's, `user_agent`
    about that of both copies.
    """

    detect: tuple[Filter, ...] = Field(default=EVERY_FILTER, validate_default=True)
    found: Literal["mask", "remove"] = "mask"
    parameters: frozenset[Lower] = frozenset(PARAMETERS)
    custom_data: CustomDataKeys = CustomDataKeys()
    client_ip: Literal["keep", "mask", "drop"] = "keep"
    user_agent: Literal["keep", "drop"] = "keep"

    @cached_property
    def masks_client(self) -> bool:
        """Whether anything is to become of the client's address or user agent."""
        return self.client_ip != "keep" or self.user_agent == "drop"

    @cached_property
    def detector(self) -> Detector:
        """What the filters find, and what becomes of it."""
        return Detector(self.detect, removes=self.found == "remove")

    @cached_property
    def glance(self) -> Callable[[str], bool]:
        """Tells whether there may be anything to do about a text, but by filters without a hint."""
        return glance_for(self.detector.hints, self.detector.names, self.parameters)

    @cached_property
    def plain_names(self) -> Memo[tuple[str, ...], bool]:
        """Whether properties of these names may all go to Meta, and need no close look for their names' sake."""
        return memo_of_names(self._are_plain)

    def _are_plain(self, names: tuple[str, ...]) -> bool:
        own = [name for name in names if name not in STANDARD]
        if self.detector.is_told_by(own) or not self.custom_data.admits_all(names):
            return False
        text = "\n".join(own)
        return not self.glance(text) and not self.detector.suspects_unhinted(text)
