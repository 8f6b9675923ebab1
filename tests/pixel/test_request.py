"""A request as the gateway received it."""

from dataclasses import replace

from tests.factories import hit_query, request

REQUEST = request(hit_query(), headers={"cookie": "_fbp=fb.1.2.3; uid=7; uid=8"}, peer="10.0.0.1")


def test_the_same_request_of_another_peer_differs_in_that_alone():
    assert REQUEST.cookies["uid"] == "7"
    other = REQUEST.of_peer("84.10.0.1")
    assert other == replace(REQUEST, peer="84.10.0.1")
    assert (REQUEST.peer, other.cookies) == ("10.0.0.1", REQUEST.cookies)
