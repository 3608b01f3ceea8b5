"""Fetching: what may be reached, at which address, how much and for how long; over real connections."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import time

import pytest
from named.web import Web

from cosphere_jupyter.named.fetch import CouldNotDownload, Guard

MEGABYTE = 1_000_000
UNREACHABLE = "not of the public internet"


def fetch(folder, url, *hosts, most_bytes=MEGABYTE, **options):
    return Guard(hosts, **options).fetch(url, folder / "file", most_bytes)


def refused(folder, url, *hosts, **options):
    with pytest.raises(CouldNotDownload) as raised:
        fetch(folder, url, *hosts, **options)
    assert str(raised.value).startswith("CouldNotDownloadError: ")
    return str(raised.value)


def answers(*addresses):
    """A resolver that answers each question with the next of these lists of addresses."""
    asked = []

    def resolve(host, port):
        asked.append((host, port))
        found = addresses[min(len(asked), len(addresses)) - 1]
        return [info for each in found for info in socket.getaddrinfo(each, port, type=socket.SOCK_STREAM)]

    return resolve, asked


# -- what is never fetched --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("ftp://example.org/a.png", "only http and https"),
        ("gopher://127.0.0.1:6379/_x", "only http and https"),
        ("data:image/png;base64,AAAA", "only http and https"),
        ("javascript:alert(1)", "only http and https"),
        ("//example.org/a.png", "only http and https"),
        ("example.org/a.png", "only http and https"),
        ("http://", "this is no URL"),
        ("http:///a.png", "this is no URL"),
        ("http://exa mple.org/", "this is no URL"),
        ("http://example.org:99999/", "this is no URL"),
        ("http://[::1", "this is no URL"),
        ("http://example.org\\@127.0.0.1/", "backslashes"),
        ("http://example.org/\r\nX: y", "control characters"),
        ("http://example.org/\x00", "control characters"),
        ("http://rosa:secret@example.org/a.png", "with a name or a password"),
        ("http://example.org@127.0.0.1/a.png", "with a name or a password"),
        ("http://example.org:22/", "port 22"),
        ("https://example.org:6379/", "port 6379"),
        ("", "only http and https"),
    ],
)
def test_urls_that_are_refused_before_anything_is_looked_up(tmp_path, url, why):
    resolve, asked = answers(["93.184.216.34"])
    assert why in refused(tmp_path, url, resolve=resolve)
    assert asked == []


def test_a_password_in_a_url_is_not_repeated(tmp_path):
    text = refused(tmp_path, "http://rosa:secret@example.org/@home/a.png")
    assert text.startswith("CouldNotDownloadError: 'http://…@example.org/@home/a.png': ")


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1"),
        *("0177.0.0.1", "017700000001", "0", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
        *("[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "１２７.0.0.1", "①②⑦.0.0.1", "127。0。0。1"),
    ],
)
def test_no_way_to_write_this_machine_reaches_it(tmp_path, make_web, host):
    trap = make_web("0.0.0.0")
    text = refused(tmp_path, f"http://{host}:{trap.port}/", ports=(trap.port,))
    assert UNREACHABLE in text or "this is no URL" in text
    assert trap.requests == []


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"],
)
def test_metadata_services_of_clouds_are_not_asked(tmp_path, address):
    resolve, asked = answers([address])
    assert UNREACHABLE in refused(tmp_path, "http://metadata.example/", resolve=resolve)
    assert asked == [("metadata.example", 80)]


def test_one_private_address_among_public_ones_is_enough_to_refuse(tmp_path, make_web):
    trap = make_web()
    resolve, _ = answers(["93.184.216.34", "127.0.0.1"])
    assert UNREACHABLE in refused(tmp_path, f"http://both.example:{trap.port}/", resolve=resolve, ports=(trap.port,))
    assert trap.requests == []


def test_unknown_and_private_hosts_are_refused_with_one_text(tmp_path):
    def unknown(host, port):
        raise socket.gaierror("not known")

    private, _ = answers(["10.0.0.1"])
    nothing, _ = answers([])
    texts = {refused(tmp_path, "http://x.example/", resolve=each) for each in (unknown, private, nothing)}
    assert len(texts) == 1


# -- the address that was checked is the one that is used -------------------------------------------------------------


def test_a_name_that_changes_its_address_leads_to_the_one_that_was_checked(tmp_path, make_web):
    """The first answer is a good address, every later one leads here: what is asked once cannot be changed after."""
    good = make_web("127.0.0.2")
    trap = make_web("127.0.0.1", good.port)
    good.pages["/a"] = trap.pages["/a"] = b"an image"
    resolve, asked = answers(["127.0.0.2"], ["127.0.0.1"])
    url = f"http://rebinding.example:{good.port}/a"
    found = fetch(tmp_path, url, resolve=resolve, ports=(good.port,), is_allowed=lambda each: each == "127.0.0.2")
    assert found.path.read_bytes() == b"an image"
    assert (len(asked), len(good.requests), trap.requests) == (1, 1, [])
    assert good.requests[0][1]["Host"] == f"rebinding.example:{good.port}"


def test_a_redirect_is_looked_up_and_checked_anew(tmp_path, make_web):
    good = make_web("127.0.0.2")
    trap = make_web("127.0.0.1", good.port)
    good.pages["/a"] = (302, {"Location": "/b"}, b"")
    resolve, asked = answers(["127.0.0.2"], ["127.0.0.1"])
    url = f"http://rebinding.example:{good.port}/a"
    options = {"resolve": resolve, "ports": (good.port,), "is_allowed": lambda each: each == "127.0.0.2"}
    assert UNREACHABLE in refused(tmp_path, url, **options)
    assert (len(asked), len(good.requests), trap.requests) == (2, 1, [])


@pytest.mark.parametrize("location", ["http://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "http://localhost:{port}/x"])
def test_a_redirect_into_the_private_network_is_refused(tmp_path, make_web, location):
    good = make_web("127.0.0.2")
    trap = make_web("127.0.0.1", good.port)
    good.pages["/a"] = (307, {"Location": location.format(port=good.port)}, b"")
    options = {"ports": (good.port,), "is_allowed": lambda each: each == "127.0.0.2"}
    assert UNREACHABLE in refused(tmp_path, f"{good.url}/a", **options)
    assert trap.requests == []


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://example.org/", "http://a:b@example.org/"])
def test_a_redirect_to_another_kind_of_url_is_refused(tmp_path, web, location):
    web.pages["/a"] = (302, {"Location": location}, b"")
    assert "fetched" in refused(tmp_path, f"{web.url}/a", web.allowed)


def test_a_named_host_does_not_open_others(tmp_path, make_web):
    named, other = make_web(), make_web()
    named.pages["/a"] = (302, {"Location": f"{other.url}/a"}, b"")
    assert f"port {other.port}" in refused(tmp_path, f"{named.url}/a", named.allowed)
    assert UNREACHABLE in refused(tmp_path, f"{named.url}/a", named.allowed, ports=(other.port,))
    assert other.requests == []


def test_redirects_are_followed_five_times(tmp_path, web):
    for number in range(7):
        web.pages[f"/{number}"] = (301, {"Location": f"{number + 1}"}, b"")
    web.pages["/7"] = b"here"
    assert fetch(tmp_path, f"{web.url}/2", web.allowed).path.read_bytes() == b"here"
    assert "more than 5 times" in refused(tmp_path, f"{web.url}/1", web.allowed)


# -- what is fetched --------------------------------------------------------------------------------------------------


def test_a_host_that_an_operator_names_is_fetched_from(tmp_path, web):
    web.pages["/ä b.png"] = web.pages["/%C3%A4%20b.png"] = (200, {"Content-Type": "image/png; x=1"}, b"pixels")
    found = fetch(tmp_path, f"{web.url}/ä b.png?q=1%202&r=é#part", web.host)
    assert (found.path.read_bytes(), found.content_type) == (b"pixels", "image/png")
    path, headers = web.requests[0]
    assert path == "/%C3%A4%20b.png?q=1%202&r=%C3%A9"
    assert headers["Host"] == web.allowed
    assert not {"Cookie", "Authorization", "Referer"} & set(headers)


def test_ipv6_hosts_are_fetched_from(tmp_path):
    class Six(Web):
        pass

    six = socket.socket(socket.AF_INET6)
    six.bind(("::1", 0))
    six.listen()
    port = six.getsockname()[1]
    six.close()
    from http.server import HTTPServer

    HTTPServer.address_family, before = socket.AF_INET6, HTTPServer.address_family
    try:
        server = Six("::1", port)
    finally:
        HTTPServer.address_family = before
    try:
        server.pages["/a"] = b"six"
        found = Guard([f"[::1]:{port}"]).fetch(f"http://[0::1]:{port}/a", tmp_path / "file", MEGABYTE)
        assert found.path.read_bytes() == b"six"
        assert server.requests[0][1]["Host"] == f"[::1]:{port}"
    finally:
        server.close()


def test_proxies_of_the_environment_are_not_used(tmp_path, make_web, monkeypatch):
    server, proxy = make_web(), make_web()
    server.pages["/a"] = b"direct"
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    assert fetch(tmp_path, f"{server.url}/a", server.allowed).path.read_bytes() == b"direct"
    assert proxy.requests == []


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 500, 503])
def test_what_a_server_refuses_is_told(tmp_path, web, status):
    web.pages["/a"] = (status, {}, b"")
    assert f"its server answered {status}" in refused(tmp_path, f"{web.url}/a", web.allowed)


def test_nothing_longer_than_the_limit_is_taken(tmp_path, web):
    def chunked(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x" * 100_000)

    web.pages["/announced"] = (200, {"Content-Length": "999999999999"}, b"x")
    web.pages["/unannounced"] = chunked
    web.pages["/just"] = b"x" * MEGABYTE
    for page in ("announced", "unannounced"):
        assert "more than 1000000 bytes" in refused(tmp_path, f"{web.url}/{page}", web.allowed)
        (tmp_path / "file").unlink(missing_ok=True)
    assert fetch(tmp_path, f"{web.url}/just", web.allowed).path.stat().st_size == MEGABYTE


def test_a_body_that_is_cut_short_is_no_file(tmp_path, web):
    web.pages["/a"] = (200, {"Content-Length": "100"}, b"only this")
    assert "broke off" in refused(tmp_path, f"{web.url}/a", web.allowed)


def test_an_encoding_nobody_asked_for_is_refused(tmp_path, web):
    web.pages["/a"] = (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b")
    assert "encoded" in refused(tmp_path, f"{web.url}/a", web.allowed)


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(tmp_path, web):
    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(200):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)

    def drip_headers(handler):
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n")
        for number in range(200):
            handler.wfile.write(b"X-%d: y\r\n" % number)
            handler.wfile.flush()
            time.sleep(0.05)

    web.pages["/body"], web.pages["/headers"] = drip, drip_headers
    for page in ("body", "headers"):
        began = time.monotonic()
        text = refused(tmp_path, f"{web.url}/{page}", web.allowed, total_seconds=0.5)
        assert "it took longer than 0.5 s" in text
        assert time.monotonic() - began < 3
        (tmp_path / "file").unlink(missing_ok=True)


def test_a_resolver_that_hangs_is_given_up(tmp_path):
    def hang(host, port):
        time.sleep(5)
        return []

    began = time.monotonic()
    refused(tmp_path, "http://slow.example/", resolve=hang, total_seconds=0.3)
    assert time.monotonic() - began < 3


def test_what_speaks_no_http_is_told_so(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        allowed = f"127.0.0.1:{port}"
        assert "refuses connections" in refused(tmp_path, f"http://{allowed}/", allowed)


# -- https ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for images.example."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "images.example")])
    now = datetime.datetime.now(datetime.timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("images.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def secure_web(make_web, certificate):
    server = make_web()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    return server


def test_https_checks_the_certificate_for_the_name_at_the_address_that_was_checked(
    tmp_path, secure_web, certificate, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", os.fspath(certificate))
    secure_web.pages["/a"] = b"secret pixels"
    resolve, asked = answers(["127.0.0.1"])
    hosts = ["images.example", "other.example"]
    url = f"https://images.example:{secure_web.port}/a"
    assert fetch(tmp_path, url, *hosts, resolve=resolve).path.read_bytes() == b"secret pixels"
    assert len(asked) == 1
    wrong = refused(tmp_path, url.replace("images", "other"), *hosts, resolve=resolve)
    assert "the certificate of its server is not good" in wrong
    assert len(secure_web.requests) == 1


def test_https_trusts_no_certificate_that_the_machine_does_not(tmp_path, secure_web):
    resolve, _ = answers(["127.0.0.1"])
    url = f"https://images.example:{secure_web.port}/a"
    assert "certificate" in refused(tmp_path, url, "images.example", resolve=resolve)
