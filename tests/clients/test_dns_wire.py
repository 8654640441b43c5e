"""What arrives at the DNS server when no well-behaved resolver sends it: every class of malformed
packet gets the answer that the RFCs ask for, or silence, and the server answers the next."""

import socket
import struct
import time
import unittest
import uuid

import dns.message
import dns.rcode
from lab import Lab, eventually
from names import ask, exactly, exchange, resolve

NAME = b"\1a\4wire\7example\0"
A, IN = 1, 1

NOERROR, FORMERR, NOTIMP, REFUSED = 0, 1, 4, 5
BADVERS = 16

SILENCE = None


def header(flags=0x0100, questions=1, answers=0, authorities=0, additionals=0, number=0x1234):
    """The twelve octets that every packet begins with."""
    return struct.pack("!6H", number, flags, questions, answers, authorities, additionals)


def question(name=NAME, kind=A, group=IN):
    return name + struct.pack("!2H", kind, group)


def opt(version=0, payload=1232, data=b"", name=b"\0", flags=0):
    """An OPT record (RFC 6891)."""
    fields = struct.pack("!2HBBHH", 41, payload, 0, version, flags, len(data))
    return name + fields + data


def option(code, data):
    return struct.pack("!2H", code, len(data)) + data


def subnet(family=1, source=24, scope=0, address=b"\x7f\x40\x01"):
    """The client subnet option (RFC 7871)."""
    return option(8, struct.pack("!HBB", family, source, scope) + address)


LONG = b"".join(b"\x3f" + b"x" * 63 for _ in range(4)) + b"\0"
EDNS = header(additionals=1) + question()

# What is sent, and the codes of which the answer must have one.
CASES = {
    "nothing at all": (b"", SILENCE),
    "less than a header": (header()[:11], SILENCE),
    "an answer (QR=1)": (header(0x8180) + question(), SILENCE),
    "an answer with an error": (header(0x8183, 0), SILENCE),
    "a broken answer": (header(0x8180) + b"\xc0\x0c", SILENCE),
    "a header alone, no question": (header(questions=0), {FORMERR}),
    "a header that promises a question": (header(), {FORMERR}),
    "two questions": (header(questions=2) + question() + question(), {FORMERR}),
    "65,535 questions": (header(questions=65535) + question(), {FORMERR}),
    "opcode IQUERY": (header(0x0800) + question(), {NOTIMP}),
    "opcode STATUS": (header(0x1000) + question(), {NOTIMP}),
    "opcode 3": (header(0x1800) + question(), {NOTIMP}),
    "opcode NOTIFY": (header(0x2000) + question(kind=6), {NOTIMP, REFUSED}),
    "opcode UPDATE": (header(0x2800) + question(kind=6), {NOTIMP, REFUSED}),
    "opcode 15": (header(0x7800), {NOTIMP}),
    "a name that points to itself": (header() + b"\xc0\x0c" + question(b""), {FORMERR}),
    "a name that points forward": (header() + b"\xc0\x20" + question(b"") + NAME, {FORMERR}),
    "a name that points into the header": (
        header() + b"\xc0\x00" + question(b""), {FORMERR, REFUSED}),
    "a label that points to its own name": (header() + b"\1a\xc0\x0c" + question(b""), {FORMERR}),
    "a label of type 01": (header() + b"\x41x\0" + question(b""), {FORMERR}),
    "a label of type 10": (header() + b"\x81x\0" + question(b""), {FORMERR}),
    "a name of 257 octets": (header() + question(LONG), {FORMERR}),
    "a name without an end": (header() + b"\x05abc", {FORMERR}),
    "a name that ends with the packet": (header() + NAME, {FORMERR}),
    "a question cut short": (header() + question()[:-1], {FORMERR}),
    "an additional record cut short": (EDNS + opt()[:-3], {FORMERR}),
    "an OPT longer than the packet": (EDNS + opt()[:-2] + b"\xff\xff", {FORMERR}),
    "an option longer than its OPT": (EDNS + opt(data=b"\0\x08\0\xff"), {FORMERR}),
    "two OPT records": (header(additionals=2) + question() + opt() + opt(), {FORMERR}),
    "an OPT with a name": (EDNS + opt(name=NAME), {FORMERR}),
    "EDNS version 1": (EDNS + opt(version=1), {BADVERS}),
    "EDNS version 255": (EDNS + opt(version=255, data=option(65001, b"?")), {BADVERS}),
    "EDNS with a payload of 0": (EDNS + opt(payload=0), {NOERROR}),
    "EDNS with an unknown option": (EDNS + opt(data=option(65001, b"?")), {NOERROR}),
    "EDNS with unknown flags": (EDNS + opt(flags=0x7fff), {NOERROR}),
    "a subnet of 33 bits": (EDNS + opt(data=subnet(source=33, address=b"\x7f" * 5)), {FORMERR}),
    "a subnet with bits beyond its length": (
        EDNS + opt(data=subnet(source=20, address=b"\x7f\x40\xff")), {FORMERR}),
    "a subnet with too short an address": (EDNS + opt(data=subnet(address=b"\x7f")), {FORMERR}),
    "a subnet with a scope": (EDNS + opt(data=subnet(scope=24)), {FORMERR, NOERROR}),
    "a subnet of family 3": (EDNS + opt(data=subnet(family=3)), {FORMERR, NOERROR, REFUSED}),
    "a subnet option of 2 octets": (EDNS + opt(data=option(8, b"\0\1")), {FORMERR}),
    "another zone": (header() + question(b"\5other\4test\0"), {REFUSED}),
    "the root": (header() + question(b"\0"), {REFUSED}),
    "class CHAOS": (header() + question(b"\7version\4bind\0", 16, 3), {REFUSED, NOTIMP}),
    "class 65535": (header() + question(group=65535), {REFUSED, FORMERR, NOTIMP}),
    "a zone transfer over UDP": (header() + question(NAME[2:], 252), {REFUSED, NOTIMP, FORMERR}),
    "an incremental transfer": (header() + question(NAME[2:], 251), {REFUSED, NOTIMP, FORMERR}),
    "type 0": (header() + question(kind=0), {NOERROR, FORMERR}),
    "type 65535": (header() + question(kind=65535), {NOERROR}),
    "type OPT as a question": (header() + question(kind=41), {NOERROR, FORMERR, REFUSED, NOTIMP}),
    "octets after the end": (header() + question() + b"\xde\xad", {NOERROR, FORMERR}),
    "answers in a question": (
        header(answers=1) + question() + b"\xc0\x0c" + struct.pack("!2HIH", A, IN, 1, 4) + b"abcd",
        {NOERROR, FORMERR}),
    "every flag set but QR": (header(0x07ff) + question(), {NOERROR, FORMERR}),
}


class DnsWire(unittest.TestCase):
    """Raw packets at the edge and at the relay before it."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0", "--regions", "us-east-1")
        cls.addClassCleanup(cls.lab.close)
        cls.server = ("127.0.0.1", cls.lab.dns_port)
        route53 = cls.lab.route53()
        made = route53.create_hosted_zone(Name="wire.example", CallerReference=str(uuid.uuid4()))
        route53.change_resource_record_sets(
            HostedZoneId=made["HostedZone"]["Id"],
            ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": {
                "Name": "a.wire.example", "Type": "A", "TTL": 60,
                "ResourceRecords": [{"Value": "192.0.2.1"}],
            }}]},
        )
        eventually(lambda: resolve(cls.server, "a.wire.example") == ["192.0.2.1"])
        number = next(s for s in cls.lab.json("status")["sites"] if s["site"] == "edge-1")
        cls.edge = (f"127.1.{number['id']}.1", cls.lab.dns_port) if "id" in number else cls.server
        cls.before = cls.lab.processes()

    def tearDown(self):
        self.assertEqual(self.lab.processes(), self.before, "a site started again")
        for tcp in (False, True):
            self.assertEqual(resolve(self.server, "a.wire.example", tcp=tcp), ["192.0.2.1"])

    def answer_to(self, link, packet):
        """What comes for a packet, or None if the answer to a good question behind it comes."""
        link.send(packet)
        link.send(header(number=0x4321) + question())
        first = link.recv(65535)
        if first[:2] == b"\x43\x21":
            return None
        link.recv(65535)
        return first

    def judge(self, answer, packet, codes):
        if codes is SILENCE:
            self.assertIsNone(answer)
            return
        self.assertIsNotNone(answer, "silence")
        self.assertGreaterEqual(len(answer), 12)
        number, flags = struct.unpack("!2H", answer[:4])
        self.assertEqual(number, 0x1234)
        self.assertTrue(flags & 0x8000, "QR isn't set")
        self.assertEqual(flags & 0x7800, packet[2] << 8 & 0x7800, "the opcode isn't kept")
        self.assertEqual(flags & 0x0040, 0, "Z is set")
        code = flags & 15
        if codes == {BADVERS}:
            code = int(dns.message.from_wire(answer).rcode())
        self.assertIn(code, codes)
        # An error without a whole question has none; whatever comes can be read.
        dns.message.from_wire(answer)

    def test_every_malformed_packet_over_udp(self):
        for server in {self.server, self.edge}:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
                link.settimeout(5)
                link.connect(server)
                for name, (packet, codes) in CASES.items():
                    with self.subTest(name, server=server):
                        self.judge(self.answer_to(link, packet), packet, codes)

    def test_every_malformed_packet_over_tcp(self):
        for name, (packet, codes) in CASES.items():
            with self.subTest(name):
                try:
                    answer = exchange(self.server, packet, tcp=True, wait=2)
                except (EOFError, ConnectionError):
                    answer = None
                except TimeoutError:
                    # Silence may keep the connection.
                    answer = None
                if codes is SILENCE or answer is not None:
                    self.judge(answer, packet, codes)
                else:
                    # Over TCP a server may close instead (RFC 7766, section 8).
                    self.assertTrue(codes & {FORMERR, NOTIMP, REFUSED}, "closed without an answer")

    def test_random_octets(self):
        import random
        dice = random.Random(20261128)
        good = EDNS + opt(data=subnet())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.connect(self.server)
            link.setblocking(False)
            for _ in range(4000):
                packet = bytearray(good)
                for _ in range(dice.randrange(1, 6)):
                    packet[dice.randrange(len(packet))] = dice.randrange(256)
                del packet[dice.randrange(len(packet)) :: dice.choice((1, 7, 1000))]
                link.send(packet)
                try:
                    while True:
                        link.recv(65535)
                except BlockingIOError:
                    pass

    def test_tcp_frames(self):
        whole = header() + question()
        framed = len(whole).to_bytes(2, "big") + whole
        with socket.create_connection(self.server, timeout=5) as link:
            # Two at once, the second in pieces.
            link.sendall(framed + framed[:5])
            time.sleep(0.05)
            link.sendall(framed[5:])
            for _ in range(2):
                length = int.from_bytes(exactly(link, 2), "big")
                self.assertEqual(len(dns.message.from_wire(exactly(link, length)).answer), 1)
        for start in (b"\0\0", b"\xff\xff" + whole, framed[:9], b"\0"):
            with socket.create_connection(self.server, timeout=5) as link:
                link.sendall(start)
        for start in (b"\0\0", b"\0\x05abcde"):
            with self.subTest(start), socket.create_connection(self.server, timeout=5) as link:
                link.sendall(start + framed)
                try:
                    length = int.from_bytes(exactly(link, 2), "big")
                    dns.message.from_wire(exactly(link, length))
                except (EOFError, ConnectionError):
                    pass

    def test_an_answer_never_grows_beyond_what_was_asked_for(self):
        for payload in (0, 512, 513, 1232, 4096, 65535):
            query = dns.message.make_query(
                "wire.example", "NS", use_edns=0 if payload else -1, payload=payload or None
            ).to_wire()
            self.assertLessEqual(len(exchange(self.server, query)), max(512, min(payload, 4096)))
        self.assertEqual(ask(self.server, "a.wire.example").rcode(), dns.rcode.NOERROR)


if __name__ == "__main__":
    unittest.main()
