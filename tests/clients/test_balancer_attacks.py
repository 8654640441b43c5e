"""A load balancer under attack from outside, in a running lab: frames of HTTP/2 that break RFC 9113,
floods that cost the sender little, and clients that only begin. Every time another client is served
meanwhile, no target sees what was malformed, and the Region's process lives on in bounded memory."""

import pathlib
import shutil
import socket
import ssl
import struct
import tempfile
import threading
import time
import unittest

from balancers import Balancers, certificate, curl
from lab import Lab, eventually, free_port

REGION = "us-east-1"

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Types of frames (RFC 9113, section 6) and their flags.
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE = 0, 1, 3, 4, 5
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1

# Errors (RFC 9113, section 7).
PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 1, 3, 5, 6
COMPRESSION_ERROR = 9

# What a flood may add to the memory of a Region's process, in KiB.
MORE_MEMORY = 96 * 1024


def frame(kind, flags=0, stream=0, payload=b""):
    """A frame's bytes."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def fields(*pairs):
    """A header block of literals without indexing (RFC 7541, section 6.2.2)."""
    block = b""
    for name, value in pairs:
        for text in (name, value):
            assert len(text) < 127
        block += b"\x00" + bytes([len(name)]) + name.encode()
        block += bytes([len(value)]) + value.encode()
    return block


def request(*more, method="GET", path="/attack", without=()):
    """A header block of a request."""
    pseudo = [(":method", method), (":scheme", "https"), (":authority", "shop.test"),
              (":path", path)]
    return fields(*(pair for pair in pseudo if pair[0] not in without), *more)


class Connection:
    """A client of HTTP/2 that sends what it likes, once both sides have greeted."""

    def __init__(self, node, port):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection((node, port), 10)
        self.link = context.wrap_socket(plain, server_hostname="shop.test")
        self.link.settimeout(10)
        self.held = b""
        self.send(PREFACE + frame(SETTINGS))

    def send(self, data):
        """Sends as much as is taken; a peer that has hung up is no fault."""
        try:
            self.link.sendall(data)
            return True
        except OSError:
            return False

    def next(self):
        """The next frame's type, flags, stream and payload; nothing at the end."""
        while len(self.held) < 9 or len(self.held) < 9 + int.from_bytes(self.held[:3], "big"):
            try:
                more = self.link.recv(65536)
            except socket.timeout:
                raise AssertionError("the balancer neither answers nor hangs up")
            except OSError:
                return None
            if not more:
                return None
            self.held += more
        length = int.from_bytes(self.held[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self.held[3:9])
        payload, self.held = self.held[9:9 + length], self.held[9 + length:]
        return kind, flags, stream, payload

    def verdict(self):
        """The error that ends the connection or a stream; "hung up" without one; or the kind of
        answer that came instead."""
        while (got := self.next()) is not None:
            kind, _, _, payload = got
            if kind == GOAWAY:
                error = int.from_bytes(payload[4:8], "big")
                if error:
                    return error
            elif kind == RST_STREAM:
                return int.from_bytes(payload[:4], "big")
            elif kind == HEADERS:
                return "answered"
        return "hung up"

    def close(self):
        self.link.close()


# What is malformed, the bytes, and the errors that are right; "hung up" is always. The codec says
# PROTOCOL_ERROR of some where the RFC has an error of their own.
BROKEN = [
    ("a frame beyond the greatest size", frame(HEADERS, END_HEADERS, 1, b"\0" * 20000),
     {FRAME_SIZE_ERROR}),
    ("data on stream 0", frame(DATA, END_STREAM, 0, b"x"), {PROTOCOL_ERROR}),
    ("headers on stream 0", frame(HEADERS, END_HEADERS, 0, request()), {PROTOCOL_ERROR}),
    ("headers on an even stream", frame(HEADERS, END_HEADERS | END_STREAM, 2, request()),
     {PROTOCOL_ERROR}),
    ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, request()),
     {PROTOCOL_ERROR}),
    ("another frame within headers", frame(HEADERS, 0, 1, request()) + frame(PING, 0, 0, b"8" * 8),
     {PROTOCOL_ERROR}),
    ("settings of a wrong length", frame(SETTINGS, 0, 0, b"12345"),
     {FRAME_SIZE_ERROR, PROTOCOL_ERROR}),
    ("an acknowledgement with settings", frame(SETTINGS, ACK, 0, b"123456"),
     {FRAME_SIZE_ERROR, PROTOCOL_ERROR}),
    ("settings on a stream", frame(SETTINGS, 0, 1), {PROTOCOL_ERROR}),
    ("a greatest frame size below what is allowed",
     frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 100)), {PROTOCOL_ERROR}),
    ("an initial window beyond what is allowed",
     frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)), {FLOW_CONTROL_ERROR, PROTOCOL_ERROR}),
    ("a window update of nothing", frame(WINDOW_UPDATE, 0, 0, b"\0" * 4), {PROTOCOL_ERROR}),
    ("a window that overflows", 2 * frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", (1 << 31) - 1)),
     {FLOW_CONTROL_ERROR}),
    ("a ping of a wrong length", frame(PING, 0, 0, b"123"), {FRAME_SIZE_ERROR, PROTOCOL_ERROR}),
    ("a reset of an idle stream", frame(RST_STREAM, 0, 1, b"\0" * 4), {PROTOCOL_ERROR}),
    ("a promise of a client",
     frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + request()), {PROTOCOL_ERROR}),
    ("headers that can't be decoded", frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff" * 9),
     {COMPRESSION_ERROR, PROTOCOL_ERROR}),
    ("a name in capitals",
     frame(HEADERS, END_HEADERS | END_STREAM, 1, request(("X-Name", "1"))), {PROTOCOL_ERROR}),
    ("no path", frame(HEADERS, END_HEADERS | END_STREAM, 1, request(without=[":path"])),
     {PROTOCOL_ERROR}),
    ("no method", frame(HEADERS, END_HEADERS | END_STREAM, 1, request(without=[":method"])),
     {PROTOCOL_ERROR}),
    ("two methods", frame(HEADERS, END_HEADERS | END_STREAM, 1,
                          fields((":method", "POST")) + request()), {PROTOCOL_ERROR}),
    ("a pseudo field after others", frame(HEADERS, END_HEADERS | END_STREAM, 1,
                                          fields(("a", "1")) + request()), {PROTOCOL_ERROR}),
    ("a pseudo field that isn't one", frame(HEADERS, END_HEADERS | END_STREAM, 1,
                                            request((":status", "200"))), {PROTOCOL_ERROR}),
    ("a field of the connection", frame(HEADERS, END_HEADERS | END_STREAM, 1,
                                        request(("connection", "close"))), {PROTOCOL_ERROR}),
    ("an encoding of the transfer", frame(HEADERS, END_HEADERS | END_STREAM, 1,
                                          request(("transfer-encoding", "chunked"))),
     {PROTOCOL_ERROR}),
    ("less body than its length", frame(HEADERS, END_HEADERS, 1,
                                        request(("content-length", "9"), method="POST"))
     + frame(DATA, END_STREAM, 1, b"less"), {PROTOCOL_ERROR}),
    ("more body than its length", frame(HEADERS, END_HEADERS, 1,
                                        request(("content-length", "1"), method="POST"))
     + frame(DATA, END_STREAM, 1, b"more"), {PROTOCOL_ERROR}),
    ("data after the end", frame(HEADERS, END_HEADERS | END_STREAM, 1, request(path="/"))
     + frame(DATA, END_STREAM, 1, b"x"), {STREAM_CLOSED, PROTOCOL_ERROR, "answered"}),
]


@unittest.skipUnless(shutil.which("curl"), "NOT TESTED: curl is not installed")
class Attacks(Balancers, unittest.TestCase):
    """One load balancer with HTTPS and HTTP, and one target."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="causeway-certificates-")
        cls.addClassCleanup(cls.folder.cleanup)
        certificate(cls.folder.name, "shop", "shop.test")
        cls.lab = Lab("--regions", REGION, "--delay-scale", "0",
                      "--certificates", cls.folder.name)
        cls.addClassCleanup(cls.lab.close)

    def setUp(self):
        super().setUp()
        host = "127.5.31.1"
        targets, port = self.targets(host)
        self.target = targets[host]
        balancer = self.balancer("attacked")
        group = self.group("attacked", port, [host])
        self.secure, self.plain = free_port(), free_port()
        arn = f"arn:aws:acm:{REGION}:111122223333:certificate/shop"
        self.listener(balancer, self.secure, group, Protocol="HTTPS",
                      Certificates=[{"CertificateArn": arn}])
        self.listener(balancer, self.plain, group)
        self.await_health(group)
        self.node = self.nodes(balancer)[0]
        eventually(self.is_served)
        self.process = self.lab.processes()[REGION]
        self.memory = self.resident()

    def is_served(self):
        """Is another client served, by HTTP/2 and in plain text?"""
        pem = str(pathlib.Path(self.folder.name, "shop.pem"))
        secure = curl(f"https://shop.test:{self.secure}/", "--http2", "--cacert", pem,
                      "--resolve", f"shop.test:{self.secure}:{self.node}")
        plain = curl(f"http://{self.node}:{self.plain}/")
        return secure[0] == 0 and plain[0] == 0

    def resident(self):
        """The memory of the Region's process, in KiB."""
        told = pathlib.Path(f"/proc/{self.process}/status").read_text()
        line = next(line for line in told.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1])

    def assert_unharmed(self):
        eventually(self.is_served, 10)
        self.assertEqual(self.lab.processes()[REGION], self.process)
        self.assertLess(self.resident() - self.memory, MORE_MEMORY)

    def connect(self):
        connection = Connection(self.node, self.secure)
        self.addCleanup(connection.close)
        return connection

    def test_what_breaks_http_2_ends_with_an_error_and_reaches_no_target(self):
        before = self.target.answered
        for what, sent, right in BROKEN:
            with self.subTest(what):
                connection = self.connect()
                connection.send(sent)
                self.assertIn(connection.verdict(), right | {"hung up"})
        # The last of them is a sound request, and something after it.
        self.assertLessEqual(self.target.answered - before, 1)
        self.assert_unharmed()

    def attacked_by(self, flood, seconds=3.0):
        """Floods from a thread for so long, and sees that others are served meanwhile."""
        until = time.monotonic() + seconds
        thread = threading.Thread(target=flood, args=(until,), daemon=True)
        thread.start()
        served = 0
        while time.monotonic() < until:
            self.assertTrue(self.is_served())
            served += 1
        thread.join(30)
        self.assertFalse(thread.is_alive())
        self.assertGreater(served, 0)
        self.assert_unharmed()

    def repeated(self, data, first=b""):
        """A flood of these bytes, by one connection after the other."""
        def flood(until):
            while time.monotonic() < until:
                connection = Connection(self.node, self.secure)
                connection.link.settimeout(1)
                connection.send(first)
                while time.monotonic() < until and connection.send(data):
                    pass
                connection.close()
        return flood

    def test_streams_that_are_begun_and_reset_in_a_row(self):
        def flood(until):
            while time.monotonic() < until:
                connection = Connection(self.node, self.secure)
                connection.link.settimeout(1)
                for stream in range(1, 20001, 2):
                    begun = frame(HEADERS, END_HEADERS | END_STREAM, stream, request())
                    reset = frame(RST_STREAM, 0, stream, struct.pack(">I", 8))
                    if time.monotonic() > until or not connection.send(begun + reset):
                        break
                connection.close()
        self.attacked_by(flood)

    def test_headers_that_never_end(self):
        more = frame(CONTINUATION, 0, 1, fields(("x", "y" * 100)) * 100)
        self.attacked_by(self.repeated(more, frame(HEADERS, 0, 1, request())))

    def test_continuations_of_nothing_more(self):
        self.attacked_by(self.repeated(frame(CONTINUATION, 0, 1) * 1000,
                                       frame(HEADERS, 0, 1, request())))

    def test_settings_and_pings_that_want_an_answer_each(self):
        self.attacked_by(self.repeated(frame(SETTINGS) * 1000))
        self.attacked_by(self.repeated(frame(PING, 0, 0, b"12345678") * 1000))

    def test_data_without_bytes(self):
        self.attacked_by(self.repeated(frame(DATA, 0, 1) * 1000,
                                       frame(HEADERS, END_HEADERS, 1, request(method="POST"))))

    def test_clients_that_only_begin(self):
        held = []
        self.addCleanup(lambda: [link.close() for link in held])
        for number in range(600):
            port = self.plain if number % 2 else self.secure
            link = socket.create_connection((self.node, port), 10)
            held.append(link)
            # A head that goes on; a handshake of TLS that does.
            link.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-" if number % 2 else b"\x16\x03\x01\x02")
        for _ in range(5):
            self.assertTrue(self.is_served())
        self.assert_unharmed()

    def test_what_is_no_tls(self):
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 65536,
                     b"\x80\x2e\x01\x00\x02" + b"\0" * 41, b"\x15\x03\x01\x00\x02\x02\x28",
                     bytes(range(256)) * 64):
            with socket.create_connection((self.node, self.secure), 10) as link:
                link.settimeout(30)
                try:
                    link.sendall(said)
                    link.shutdown(socket.SHUT_WR)
                    while link.recv(65536):
                        pass
                except TimeoutError:
                    raise
                except OSError:
                    # Hung up, also before the end was said: no error of `ConnectionError` then.
                    pass
        self.assert_unharmed()


if __name__ == "__main__":
    unittest.main()
