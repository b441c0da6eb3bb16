"""Nothing is sent into a private network: not by number, in no notation, by no name, by no redirect."""

import socket
import threading

import pytest

from outbox.webhooks import addresses
from outbox.webhooks.addresses import checked_url, refusal_of, targets_of
from outbox.webhooks.errors import UrlRefused
from outbox.webhooks.models import WebhookDelivery
from outbox.webhooks.sending import WIDTH
from outbox.webhooks.transport import Courier
from tests.outbox.webhooks.conftest import make_endpoint, send, tell

PRIVATE = [
    *("127.0.0.1", "127.255.0.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("100.100.100.200", "169.254.169.254", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16", "192.88.99.1"),
    *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "2001::1", "100::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "::10.0.0.1", "::ffff:169.254.169.254"),
    *("64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:0a00:0001::1", "2002:7f00:0001::"),
]
PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:0101:0101::1"]


@pytest.fixture(autouse=True)
def production(settings):
    settings.WEBHOOKS_ALLOW_LOOPBACK = False


@pytest.mark.parametrize("number", PRIVATE)
def test_an_address_that_is_not_public_is_refused(number):
    assert refusal_of(addresses.ip_address(number))
    host = f"[{number}]" if ":" in number else number
    with pytest.raises(UrlRefused):
        checked_url(f"https://{host}/hook")
    with pytest.raises(UrlRefused):
        targets_of(f"https://{host}/hook")


@pytest.mark.parametrize("number", PUBLIC)
def test_a_public_address_is_not(number):
    assert refusal_of(addresses.ip_address(number)) == ""
    host = f"[{number}]" if ":" in number else number
    assert checked_url(f"https://{host}/hook").startswith("https://")
    assert len(targets_of(f"https://{host}/hook")) == 1


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.1",
            "0177.0.0.1",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "127.0.0.1.",
            "１２７.0.0.1",
            "0",
        ),
        *("LOCALHOST", "localhost.", "a.localhost", "0x0a000001", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]"),
    ],
)
def test_no_notation_hides_an_address(host):
    with pytest.raises(UrlRefused):
        checked_url(f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "//example.com",
            "example.com",
            "https://",
        ),
        *(
            "https://user@example.com/",
            "https://user:pw@example.com/",
            "https://example.com/#part",
            "javascript:alert(1)",
        ),
        *("https://example.com:22/", "https://example.com:25/", "https://example.com:0/", "https://example.com:99999/"),
        *("https://example.com/a b", "https://exa\tmple.com/", "https://example.com\\@127.0.0.1/", "", "https://[::1"),
        *("https://example.com/" + "a" * 2048, "https://" + "a" * 300 + ".com/", "https://[fe80::1%25eth0]/"),
    ],
    ids=lambda url: url[:40],
)
def test_what_is_no_address_of_a_receiver_is_refused(url):
    with pytest.raises(UrlRefused):
        checked_url(url)


@pytest.mark.parametrize(
    "url", ["https://example.com/hook?token=a%20b", "https://example.com:8443/", "https://bücher.example/x"]
)
def test_what_is_one_is_kept_as_it_was_written(url):
    assert checked_url(url) in (url, url.replace("bücher", "xn--bcher-kva"))


def resolving(monkeypatch, *numbers):
    """Every name has these addresses; the questions that were asked are noted."""
    asked, plain = [], socket.getaddrinfo

    def answer(host, port, *rest, **options):
        if "example" not in str(host):  # the database has a name too
            return plain(host, port, *rest, **options)
        asked.append(host)
        return [
            (socket.AF_INET6 if ":" in n else socket.AF_INET, socket.SOCK_STREAM, 6, "", (n, port)) for n in numbers
        ]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", answer)
    return asked


def test_the_connection_goes_to_the_address_that_was_checked_under_the_name_that_was_asked(monkeypatch):
    asked = resolving(monkeypatch, "1.1.1.1", "2606:4700:4700::1111")
    first, second = targets_of("https://hooks.example.com:8443/a?b=c")
    assert asked == ["hooks.example.com"]
    assert (str(first.url), first.host, first.name) == (
        "https://1.1.1.1:8443/a?b=c",
        "hooks.example.com:8443",
        "hooks.example.com",
    )
    assert str(second.url) == "https://[2606:4700:4700::1111]:8443/a?b=c"


@pytest.mark.parametrize("number", ["10.0.0.1", "::1", "fd00::1", "::ffff:169.254.169.254"])
def test_a_name_is_refused_when_one_of_its_addresses_is_private(monkeypatch, number):
    resolving(monkeypatch, "1.1.1.1", number)
    with pytest.raises(UrlRefused):
        targets_of("https://rebinding.example.com/")


@pytest.mark.django_db
def test_a_name_that_turns_private_after_it_was_entered_is_refused_when_something_is_sent(
    customer, receiver, monkeypatch
):
    make_endpoint(customer, f"https://rebinding.example.com:{receiver.server.server_port}/")
    asked = resolving(monkeypatch, "127.0.0.1")
    tell(customer)
    assert send() == (0, 1)
    assert asked == ["rebinding.example.com"] and receiver.requests == []
    assert "127.0.0.1: a loopback address" in WebhookDelivery.objects.get().problem


@pytest.mark.django_db
def test_the_name_is_resolved_once_and_stays_in_the_request(customer, receiver, monkeypatch, settings):
    settings.WEBHOOKS_ALLOW_LOOPBACK = True
    port = receiver.server.server_port
    make_endpoint(customer, f"http://hooks.example.com:{port}/x")
    asked = resolving(monkeypatch, "127.0.0.1")
    tell(customer)
    assert send() == (1, 0)
    assert asked == ["hooks.example.com"]
    assert receiver.requests[0].headers["host"] == f"hooks.example.com:{port}"


def test_loopback_and_plain_http_are_for_development(settings):
    settings.WEBHOOKS_ALLOW_LOOPBACK = True
    for url in ("http://127.0.0.1:9999/", "http://localhost:9999/", "http://[::1]:9999/", "https://example.com/"):
        assert checked_url(url) == url
    with pytest.raises(UrlRefused):
        checked_url("http://10.0.0.1:9999/")


def test_names_of_silent_servers_keep_nobody_else_waiting(receiver, monkeypatch, settings):
    """Somebody has many endpoints whose names nobody resolves, and attempts are made again before resolvers give up."""
    settings.WEBHOOKS_ALLOW_LOOPBACK = True
    talks, plain = threading.Event(), socket.getaddrinfo

    def resolve(host, *rest, **options):
        if "silent" not in str(host):
            return plain(host, *rest, **options)
        talks.wait(60)
        raise socket.gaierror

    monkeypatch.setattr(addresses.socket, "getaddrinfo", resolve)
    with Courier() as courier:
        others = [courier.send(f"https://silent{n}.example.com/", b"{}", {}) for n in range(2 * WIDTH)]
        assert courier.send(receiver.url, b"{}", {}).result(60).succeeded
        talks.set()
        assert not any(each.result(60).succeeded for each in others)
