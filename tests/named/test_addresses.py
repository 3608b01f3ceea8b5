"""Which addresses a task may connect to, and how an operator names hosts."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosphere_jupyter.named.addresses import is_public, read_hosts


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2001:4860:4860::8888", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "0.0.0.0", "0.1.2.3", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
        *("198.18.0.1", "192.0.2.1", "203.0.113.9", "192.88.99.1", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
        *("255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:a9fe:a9fe::", "2002:7f00:1::", "2001::1"),
        *("fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1", "2001:db8::1"),
        *("3fff::1", "5f00::1", "100::1", "", "localhost", "127.1"),
    ],
)
def test_private_and_special_addresses_are_not_public(address):
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_all_its_forms(address):
    assert is_public(f"::ffff:{address}") == is_public(str(address))
    if is_public(str(address)):
        assert address.is_global and not address.is_private
    # Ways through a translator lead anywhere: they are never open.
    assert not is_public(str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address))))
    assert not is_public(str(ipaddress.IPv6Address((0x2002 << 112) + (int(address) << 80))))


def test_hosts_of_the_setting_are_read():
    found = read_hosts(["Store.Lab.Example.", "store:8080", "10.0.0.5", "[::1]:9000", "0:0::1", "bücher.example"])
    assert found == {
        ("store.lab.example", None),
        ("store", 8080),
        ("10.0.0.5", None),
        ("::1", 9000),
        ("::1", None),
        ("xn--bcher-kva.example", None),
    }


@pytest.mark.parametrize(
    "entry", ["", "http://store", "store:0", "store:70000", "store:x", "a b", "a/b", "*.lab", "10.0.0.0/8"]
)
def test_what_is_no_host_is_refused_in_the_setting(entry):
    with pytest.raises(ValueError):
        read_hosts([entry])
