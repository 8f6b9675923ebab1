"""A Purchase through Meta's Python SDK: purchase.py GRAPH_URL PIXEL_ID ACCESS_TOKEN."""

import sys
import time

from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.content import Content
from facebook_business.adobjects.serverside.custom_data import CustomData
from facebook_business.adobjects.serverside.event import Event
from facebook_business.adobjects.serverside.event_request import EventRequest
from facebook_business.adobjects.serverside.user_data import UserData
from facebook_business.api import FacebookAdsApi
from facebook_business.session import FacebookSession

graph, pixel_id, token = sys.argv[1:]
FacebookSession.GRAPH = graph
FacebookAdsApi.init(access_token=token)
event = Event(
    event_name="Purchase",
    event_time=int(time.time()),
    event_id="order-42",
    action_source=ActionSource.WEBSITE,
    event_source_url="https://www.shop.example/thanks",
    user_data=UserData(
        emails=["John_Smith@gmail.com"],
        client_ip_address="8.8.8.8",
        client_user_agent="Mozilla/5.0",
        fbp="fb.1.1795461138686.39550",
    ),
    custom_data=CustomData(value=9.5, currency="eur", contents=[Content(product_id="a", quantity=1, item_price=9.5)]),
)
print(EventRequest(pixel_id=pixel_id, events=[event]).execute().events_received)
