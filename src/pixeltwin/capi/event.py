"""A server event as the Conversions API takes it (PROTOCOL 1.4 to 1.7).

Fields are Meta's, None where not sent. An empty `data_processing_options` is sent: it means "explicitly not limited".
"""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic_core import SchemaValidator, core_schema

from pixeltwin.capi.hashes import Sha256

type Hashes = tuple[Sha256, ...]
type Id = str | int
type EventJson = dict[str, Any]
"""An event as Meta gets it: nothing that is None."""

ActionSource = Literal[
    "email",
    "website",
    "app",
    "phone_call",
    "chat",
    "physical_store",
    "system_generated",
    "business_messaging",
    "other",
]
MessagingChannel = Literal["whatsapp", "messenger", "instagram"]


class UserData(BaseModel):
    """Who the event is about. Hashed keys take SHA-256 values only, so plaintext cannot be sent by mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    em: Hashes | None = None
    ph: Hashes | None = None
    fn: Hashes | None = None
    ln: Hashes | None = None
    ge: Hashes | None = None
    db: Hashes | None = None
    ct: Hashes | None = None
    st: Hashes | None = None
    zp: Hashes | None = None
    country: Hashes | None = None
    external_id: Hashes | None = None
    client_ip_address: str | None = None
    client_user_agent: str | None = None
    fbc: str | None = None
    fbp: str | None = None
    # what only servers know; never hashed (PROTOCOL 1.5)
    subscription_id: Id | None = None
    fb_login_id: Id | None = None
    lead_id: Id | None = None
    anon_id: Id | None = None
    madid: Id | None = None
    page_id: Id | None = None
    page_scoped_user_id: Id | None = None
    ctwa_clid: Id | None = None
    ig_account_id: Id | None = None
    ig_sid: Id | None = None
    partner_name: str | None = None
    partner_id: Id | None = None
    # parts of names and birthdays, as Meta's SDKs send them: hashed, one value each
    f5first: Sha256 | None = None
    f5last: Sha256 | None = None
    fi: Sha256 | None = None
    dobd: Sha256 | None = None
    dobm: Sha256 | None = None
    doby: Sha256 | None = None


HASHED: Final = ("em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country", "external_id")
HASHED_PARTS: Final = ("f5first", "f5last", "fi", "dobd", "dobm", "doby")


class Content(BaseModel):
    """One product of an event."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    quantity: int
    item_price: float | None = None


class CustomData(BaseModel):
    """What the event is about. Any other key is a custom property of the advertiser's (PROTOCOL 1.6)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    value: float | None = None
    currency: str | None = None
    content_ids: tuple[str, ...] | None = None
    contents: tuple[Content, ...] | None = None
    num_items: int | None = None
    predicted_ltv: float | None = None
    net_revenue: float | None = None


class ServerEvent(BaseModel):
    """One event. `event_time` is unix seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_name: str
    event_time: int
    event_id: str
    action_source: ActionSource = "website"
    event_source_url: str | None = None
    referrer_url: str | None = None
    user_data: UserData
    custom_data: CustomData | None = None
    data_processing_options: tuple[str, ...] | None = None
    data_processing_options_country: int | None = None
    data_processing_options_state: int | None = None
    opt_out: bool | None = None
    # of events that servers send; `customer_segmentation` goes into custom_data (PROTOCOL 1.4)
    original_event_data: dict[str, Any] | None = None
    attribution_data: dict[str, Any] | None = None
    app_data: dict[str, Any] | None = None
    messaging_channel: MessagingChannel | None = None
    advanced_measurement_table: str | None = None

    def as_json(self) -> EventJson:
        """The event as Meta gets it: nothing that is None, no empty custom_data."""
        event = self.model_dump(mode="json", exclude_none=True)
        if not event.get("custom_data"):
            event.pop("custom_data", None)
        return event


def _as_typed_dict(model: type[BaseModel], **parts: core_schema.CoreSchema) -> core_schema.CoreSchema:
    """What takes the same as a model without validators but its fields': in a third of the time, as it makes none."""
    fields = {
        name: core_schema.typed_dict_field(
            parts.get(name) or TypeAdapter(field.rebuild_annotation()).core_schema, required=field.is_required()
        )
        for name, field in model.model_fields.items()
    }
    return core_schema.typed_dict_schema(fields, extra_behavior=model.model_config["extra"])


CHECK: Final = SchemaValidator(
    _as_typed_dict(
        ServerEvent,
        user_data=_as_typed_dict(UserData),
        custom_data=core_schema.nullable_schema(_as_typed_dict(CustomData)),
    ),
    core_schema.CoreConfig(title=ServerEvent.__name__),
).validate_python


def check(event: EventJson) -> None:
    """Raises `ValueError` for what is no event, such as one with plaintext where hashes belong."""
    CHECK(event)
