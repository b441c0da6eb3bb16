"""Where webhooks may go: public addresses only, so that nobody makes this server knock at its own network's doors.

An address is checked twice. When it is entered, by its text alone. And when something is sent, by what its name
resolves to at that moment: the connection then goes to the very address that was checked.
"""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from yarl import URL

from outbox.webhooks.errors import UrlRefused

LONGEST_URL = 2048
_LOWEST_PORT = 1024
_WEB_PORTS = (80, 443)
_LOCAL_NAMES = ("localhost", "localhost.localdomain")
# Public by their number, but doors to a cloud's own machinery.
_SPECIAL = (ip_network("168.63.129.16/32"), ip_network("192.88.99.0/24"))
# An IPv4 address in an IPv6 one, and how many bits stand to the right of it.
_CARRIERS: tuple[tuple[IPv6Network, int], ...] = (
    (IPv6Network("::/96"), 0),
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::ffff:0:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)
_LOCAL_USE_NAT = IPv6Network("64:ff9b:1::/48")
_TEREDO = IPv6Network("2001::/32")

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: ``url`` with the number of the checked address, the names as they were asked for."""

    url: URL
    host: str  # the Host header
    name: str  # for the certificate


def checked_url(text: str) -> str:
    """``text`` as an address that may be stored. Raises UrlRefused; asks nobody what a name resolves to."""
    url = _parsed(text)
    number = _number(url.host or "")
    if number is not None and (why := refusal_of(number)):
        raise UrlRefused(f"Webhooks are not sent to {url.host}: {why}.")
    local = (url.host or "").rstrip(".").lower()
    if (local in _LOCAL_NAMES or local.endswith(".localhost")) and not settings.WEBHOOKS_ALLOW_LOOPBACK:
        raise UrlRefused(f"Webhooks are not sent to {url.host}: it is this server itself.")
    return str(url)


def host_of(text: str) -> str:
    """The host of a stored address."""
    return URL(text).host or ""


def targets_of(text: str) -> list[Target]:
    """The checked addresses that ``text`` resolves to now, in order of preference; asks the resolver once.

    Raises UrlRefused when one of them is not public, OSError for a name that does not resolve.
    """
    url = _parsed(text)
    port = url.port or 443
    found = socket.getaddrinfo(url.raw_host, port, type=socket.SOCK_STREAM)
    numbers = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for number in numbers:
        if why := refusal_of(ip_address(number.partition("%")[0])):
            raise UrlRefused(f"{url.host} resolves to {number}: {why}.")
    return [Target(url.with_host(number), _host_header(url), url.raw_host or "") for number in numbers]


def refusal_of(address: Address) -> str:
    """Why nothing is sent to ``address``; empty for a public one."""
    inner = _carried(address)
    if inner is not None:
        return refusal_of(inner)
    if address.is_loopback:
        return "" if settings.WEBHOOKS_ALLOW_LOOPBACK else "a loopback address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_private:
        return "a private address"
    if not address.is_global or address.is_reserved or address.is_unspecified:
        return "a reserved address"
    if isinstance(address, IPv6Address) and (address.is_site_local or address in _LOCAL_USE_NAT or address in _TEREDO):
        return "a reserved address"
    return "a reserved address" if any(address in network for network in _SPECIAL) else ""


def _carried(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if isinstance(address, IPv4Address) or int(address) <= 1:  # ``::`` and ``::1`` are addresses of their own
        return None
    for network, shift in _CARRIERS:
        if address in network:
            return IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
    return None


def _parsed(text: str) -> URL:
    if len(text) > LONGEST_URL:
        raise UrlRefused(f"An address has at most {LONGEST_URL} characters.")
    if any(character <= " " or character in '\\"<>\x7f' for character in text):
        raise UrlRefused("The address has a space or a character that no address has.")
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise UrlRefused("This is not an address. Use https://host/path.") from None
    _check_form(url, port)
    return url


def _check_form(url: URL, port: int | None) -> None:
    schemes = ("https", "http") if settings.WEBHOOKS_ALLOW_LOOPBACK else ("https",)
    if url.scheme not in schemes or not url.host:
        raise UrlRefused("The address must begin with https://.")
    if url.user is not None or url.password is not None:
        raise UrlRefused("The address must not contain a user or a password.")
    if url.fragment:
        raise UrlRefused("The address must not have a fragment (#…).")
    if "%" in url.host or len(url.host) > 253:
        raise UrlRefused("The host of the address is not valid.")
    if port is not None and port not in _WEB_PORTS and port < _LOWEST_PORT:
        raise UrlRefused(f"Webhooks are not sent to port {port}. Use 443, 80, or one from {_LOWEST_PORT} on.")


def _number(host: str) -> Address | None:
    """The address that ``host`` is, in any notation that a resolver reads as one (``127.1``, ``0x7f000001``); None for
    a name."""
    host = host.rstrip(".")
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _host_header(url: URL) -> str:
    host = f"[{url.raw_host}]" if ":" in (url.raw_host or "") else url.raw_host or ""
    return host if url.is_default_port() else f"{host}:{url.port}"
