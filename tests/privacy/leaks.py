"""Addresses and texts as shops really leak them, and such as only look like it. All people and tokens are made up."""

from typing import Final

SHOP: Final = "https://www.shop.example"
HEX: Final = "8a7f3c1d9e0b4a6f5c2d7e8b9a0c1d2e"
JWT: Final = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMDAxIn0.kP3xHcZ1mQ-7yTnV0sWb2RfLd8uJ5gAoEiK4XqN6MhY"

# an address, and what is left of it with `found: mask`
LEAKS: Final = {
    # newsletters
    f"{SHOP}/newsletter/confirmed?email=a%40b.example": f"{SHOP}/newsletter/confirmed",
    f"{SHOP}/?utm_source=mail&EMail=jane@mail.example&x=1": f"{SHOP}/?utm_source=mail&x=1",
    f"{SHOP}/?utm_content=jane%40mail.example": f"{SHOP}/?utm_content=_removed_",
    f"{SHOP}/unsubscribe?u=jane%2Bnews%40mail.example&list=7": f"{SHOP}/unsubscribe?u=_removed_&list=7",
    f"{SHOP}/unsubscribe/jane+news@mail.example": f"{SHOP}/unsubscribe/_removed_",
    f"{SHOP}/unsubscribe?jane@mail.example": f"{SHOP}/unsubscribe?_removed_",
    f"{SHOP}/optin/{HEX}?lang=de": f"{SHOP}/optin/_removed_?lang=de",
    # logins
    f"{SHOP}/login/{HEX}": f"{SHOP}/login/_removed_",
    f"{SHOP}/account?ticket=1&access_token={HEX}": f"{SHOP}/account?ticket=1",
    f"{SHOP}/login?next=%2Faccount%3Fuser%3Djane%2540mail.example%26p%3D1": (
        f"{SHOP}/login?next=%2Faccount%3Fuser%3D_removed_%26p%3D1"
    ),
    f"{SHOP}/login?next=%2Fa%3Fpassword%3Dhunter2": f"{SHOP}/login?next=%2Fa",
    f"{SHOP}/cb#access_token={HEX}&token_type=bearer": f"{SHOP}/cb#token_type=bearer",
    f"{SHOP}/app#/welcome?id_token={JWT}": f"{SHOP}/app#/welcome",
    f"{SHOP}/app#{JWT}": f"{SHOP}/app#_removed_",
    "https://jane:hunter2@intern.shop.example:8443/a": "https://intern.shop.example:8443/a",
    f"{SHOP}/cart;jsessionid=1F3A9C77B2E4D5F60718293A4B5C6D7E.node1?x=1": f"{SHOP}/cart?x=1",
    # passwords to be set again
    f"{SHOP}/password/reset/{HEX}{HEX}?lang=de": f"{SHOP}/password/reset/_removed_?lang=de",
    f"{SHOP}/reset-password/550e8400-e29b-41d4-a716-446655440000": f"{SHOP}/reset-password/_removed_",
    f"{SHOP}/accounts/reset/MQ/c5x2a1-{HEX}/": f"{SHOP}/accounts/reset/MQ/_removed_/",
    f"{SHOP}/reset?customer%5Bemail%5D=jane&customer[reset_token]=1": f"{SHOP}/reset",
    # orders
    f"{SHOP}/order/status?nr=4711&contact=%2B49%20151%202345678": f"{SHOP}/order/status?nr=4711&contact=_removed_",
    f"{SHOP}/order/status?nr=4711&contact_phone=0151%2F2345678": f"{SHOP}/order/status?nr=4711&contact_phone=_removed_",
    f"{SHOP}/track/4711/+4915123456789": f"{SHOP}/track/4711/_removed_",
    f"{SHOP}/thanks?for=Jane%20%3Cjane%40mail.example%3E": f"{SHOP}/thanks?for=Jane%20%3C_removed_%3E",
    # what is no web page
    "mailto:jane@mail.example?subject=hi": "mailto:_removed_?subject=hi",
    "Jane <jane@mail.example>": "Jane <_removed_>",
    "//[jane@mail.example": "//mail.example",
    "%%%jane%40mail%2eexample": "%%%_removed_",
}

# the same with `found: remove`
REMOVED: Final = {
    f"{SHOP}/unsubscribe?u=jane%2Bnews%40mail.example&list=7": f"{SHOP}/unsubscribe?list=7",
    f"{SHOP}/unsubscribe?u=jane%2Bnews%40mail.example": f"{SHOP}/unsubscribe",
    f"{SHOP}/unsubscribe/jane@mail.example/now": f"{SHOP}/unsubscribe/now",
    f"{SHOP}/app#/reset/{HEX}": f"{SHOP}/app#/reset",
    f"{SHOP}/login?next=%2Faccount%3Fuser%3Djane%2540mail.example%26p%3D1": f"{SHOP}/login?next=%2Faccount%3Fp%3D1",
}

SURVIVES: Final = [
    f"{SHOP}/product/1?fbclid=IwAR0fAkE-cLiCk_1dAaBb&utm_source=fb",
    f"{SHOP}/?utm_campaign=4915123456789&utm_content=spring%20sale%2B&utm_term=a+b",
    f"{SHOP}/?gclid=EAIaIQobChMI8qjW0pqt_QIVFMLVCh0VWwnZEAAYASAAEgJ3xPD_BwE&wbraid=Cj8KCQ&ttclid=E.C.P.x&msclkid={HEX}",
    f"{SHOP}/order/1234567890?order_id=0012345678&value=129.90&ts=1795461084980",
    f"{SHOP}/order/550e8400-e29b-41d4-a716-446655440000/thanks?ean=04006381333931",
    f"{SHOP}/p/4006381333931-linen-shirt.html?q=shoes+4006381333931&q=c%2B%2B",
    f"{SHOP}/@shop/posts/1795461084980?via=@shop",
    f"{SHOP}/mobile/12345678?hotel_id=12345678&img=logo@2x.png",
    f"{SHOP}/login?next=%2Faccount%3Ftab%3Dorders#top",
    f"{SHOP}/c?em=5ac3cbb303be9ca0f0ca5bdd9dde9f2d74309d33022cf5fa9bc90bbdbe9ea428",
    f"{SHOP}/password/forgotten?&=&a==b&#",
    f"{SHOP}/gr%C3%B6%C3%9Fe/100%?q=%E6%9D%B1%zz",
    *(
        "https://l.facebook.com/",
        "android-app://x.example/",
        "about:blank",
        "http://",
        "",
        "?",
        "#",
        "//",
        "/?a=b?c#d#e",
    ),
]

# pieces of texts that are made to be slow
KIB_64: Final = 1 << 16
HOSTILE: Final = [
    *(
        "a",
        "@",
        "a@",
        "a@b.",
        "a.",
        "a@b.c.",
        "a@b.de@",
        "a@b.de ",
        "%",
        "%40",
        "a%40b.",
        "%2540",
        "%25",
        "\ud800",
        "\0",
    ),
    *("+1", "+1(", "+ ", "00", "0049 ", "0049 1", "1 ", "1234567 ", "+4915123456789 ", "tel:", "tel:1", "-", ".", "ä"),
    *(
        "eyJ",
        "eyJ.",
        "eyJaaaaaaaa.",
        "Bearer ",
        "bearer+",
        "Bearer a1",
        "EAA",
        "EAAa",
        "Aa0",
        "_removed_",
        "_removed_@",
    ),
]
