"""Which parameters an event may have, and the shape of each (PROTOCOL 1.4 to 1.8). Adding one adds a row."""

from typing import Final

from pixeltwin.sandbox.shapes import (
    Shape,
    boolean,
    browser_id,
    click_id,
    currency,
    hashed,
    integer,
    list_of,
    mapping,
    number,
    one_of,
    one_or_more,
    public_address,
    scalar,
    string,
    text,
    web_address,
)

ACTION_SOURCES: Final = (
    "email",
    "website",
    "app",
    "phone_call",
    "chat",
    "physical_store",
    "system_generated",
    "business_messaging",
    "other",
)
# PROTOCOL 1.7: 1000 California … 1013 Rhode Island; 0 leaves it to Meta.
LDU_STATES: Final = (0, *range(1000, 1014))
EXISTING_OR_NEW: Final = ("business", "business_line", "product_area", "medium")
SEGMENTS: Final = (
    *(f"new_customer_to_{what}" for what in EXISTING_OR_NEW),
    *(f"existing_customer_to_{what}" for what in EXISTING_OR_NEW),
    "customer_in_loyalty_program",
)

REQUIRED: Final = ("event_name", "event_time", "user_data", "action_source")

# `customer_segmentation` is no row: at event level it is reported to be refused; it belongs in custom_data.
EVENT: Final[dict[str, Shape]] = {
    "event_name": text,
    "event_time": integer,
    "user_data": mapping,
    "action_source": one_of(*ACTION_SOURCES),
    "custom_data": mapping,
    "event_source_url": web_address,
    "event_id": string,
    "opt_out": boolean,
    "data_processing_options": list_of(one_of("LDU")),
    "data_processing_options_country": one_of(0, 1),
    "data_processing_options_state": one_of(*LDU_STATES),
    "referrer_url": string,
    "original_event_data": mapping,
    "attribution_data": mapping,
    "app_data": mapping,
    "messaging_channel": one_of("whatsapp", "messenger", "instagram"),
    "advanced_measurement_table": string,
}

HASHED: Final = (
    *("em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country"),
    *("f5first", "f5last", "fi", "dobd", "dobm", "doby"),
)
PLAIN: Final = (
    *("client_ip_address", "client_user_agent", "fbc", "fbp"),
    *("subscription_id", "fb_login_id", "lead_id", "anon_id", "madid"),
    *("page_id", "page_scoped_user_id", "ctwa_clid", "ig_account_id", "ig_sid"),
)
USER_DATA: Final[dict[str, Shape]] = {
    **dict.fromkeys(HASHED, one_or_more(hashed)),
    **dict.fromkeys(PLAIN, scalar),
    "external_id": one_or_more(scalar),
}

# What looks odd but is taken: it earns a message.
USER_DATA_ODDITIES: Final[dict[str, Shape]] = {
    "client_ip_address": public_address,
    "fbp": browser_id,
    "fbc": click_id,
}

DELIVERY: Final = one_of("in_store", "curbside", "home_delivery")

# Any other key is a custom property (PROTOCOL 1.6).
CUSTOM_DATA: Final[dict[str, Shape]] = {
    "value": number,
    "currency": currency,
    "content_ids": list_of(scalar),
    "contents": list_of(mapping),
    "num_items": integer,
    "predicted_ltv": number,
    "net_revenue": number,
    "delivery_category": DELIVERY,
    "customer_segmentation": one_of(*SEGMENTS),
}
CUSTOM_DATA_ODDITIES: Final[dict[str, Shape]] = {
    "content_type": one_of("product", "product_group"),
}

CONTENT_REQUIRED: Final = ("id", "quantity")
CONTENT: Final[dict[str, Shape]] = {
    "id": scalar,
    "quantity": number,
    "item_price": number,
    "delivery_category": DELIVERY,
}

ORIGINAL_EVENT: Final[dict[str, Shape]] = {
    "event_name": text,
    "event_time": integer,
    "order_id": scalar,
    "event_id": string,
}

APP_REQUIRED: Final = ("application_tracking_enabled", "advertiser_tracking_enabled")

# PROTOCOL 1.5: user_data with nothing outside one of these sets cannot be matched.
TOO_LITTLE: Final = (
    frozenset({"ct", "country", "st", "zp", "ge", "client_user_agent"}),
    frozenset({"db", "client_user_agent"}),
    frozenset({"fn", "ge"}),
    frozenset({"ln", "ge"}),
)
