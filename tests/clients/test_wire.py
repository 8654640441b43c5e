"""What comes over the wire when no well-behaved client is at its other end: wrong or missing
signatures, broken, oversized and stalled requests. Each gets an error in the service's own form
or a closed connection, and the sites go on."""

import datetime
import hashlib
import hmac
import http.client
import json
import socket
import time
import unittest

from lab import Lab

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"
MIB = 1 << 20

# How long a site waits for a request's head, and then for its body.
WAIT = 60.0


def moment(minutes=0):
    """Now and some minutes, as signatures write it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(minutes=minutes)).strftime("%Y%m%dT%H%M%SZ")


class Wire(unittest.TestCase):
    """Raw HTTP at the front door and at Regions' own addresses."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0", "--regions", f"{VIRGINIA},{IRELAND}")
        cls.addClassCleanup(cls.lab.close)
        cls.door = ("127.0.0.1", cls.lab.port)
        cls.own = {region: cls.lab.address(region) for region in (VIRGINIA, IRELAND)}
        cls.before = cls.lab.processes()
        cls.lab.client(VIRGINIA).create_table(
            TableName="Wire",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        cls.lab.client(VIRGINIA).get_waiter("table_exists").wait(TableName="Wire")
        # These stand still while the other tests run.
        cls.began = time.monotonic()
        cls.stalled = {
            f"{what} at {place}": cls.stall(address, start)
            for what, start in (
                ("a head", b"POST / HTTP/1.1\r\nhost: a\r\nx-amz-"),
                ("a body", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 900\r\n\r\n{"),
                ("chunks", b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r"),
            )
            for place, address in (("the front door", cls.door), ("a Region", cls.own[VIRGINIA]))
        }

    @classmethod
    def stall(cls, address, start):
        stalled = socket.create_connection(address, timeout=2 * WAIT)
        cls.addClassCleanup(stalled.close)
        stalled.sendall(start)
        return stalled

    def headers(self, body, target, region=VIRGINIA, when=None, service="dynamodb", **changes):
        """Headers signed with Signature Version 4."""
        when = when or moment()
        environment = self.lab.environment
        headers = {
            "host": "dynamodb.test",
            "x-amz-date": when,
            "x-amz-target": f"DynamoDB_20120810.{target}",
            **changes,
        }
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{when[:8]}/{region}/{service}/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{digest}"
        key = ("AWS4" + environment["AWS_SECRET_ACCESS_KEY"]).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={environment['AWS_ACCESS_KEY_ID']}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return headers

    def send(self, body, headers, address=None):
        """The status, the error's code without namespace, and the whole answer."""
        connection = http.client.HTTPConnection(*(address or self.door), timeout=30)
        try:
            connection.request("POST", "/", body=body, headers=headers)
            response = connection.getresponse()
            answer = response.read()
            self.assertTrue(response.getheader("x-amzn-requestid"), answer)
        finally:
            connection.close()
        answer = json.loads(answer)
        return response.status, answer.get("__type", "").rpartition("#")[2], answer

    def signed(self, body, target, address=None, **how):
        """Sends a body with a signature of it."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send(body, self.headers(body, target, **how), address)

    def assert_whole(self):
        """Each site is still the process that it was, and answers."""
        self.assertEqual(self.lab.processes(), self.before)
        for region, address in self.own.items():
            status, *_ = self.signed({}, "ListTables", address, region=region)
            self.assertEqual(status, 200)

    # === Signatures ===

    def test_a_signed_request_is_answered(self):
        status, _, answer = self.signed({}, "ListTables")
        self.assertEqual((status, answer), (200, {"TableNames": ["Wire"]}))

    def test_a_signature_that_is_missing_broken_or_late(self):
        headers = self.headers(b"{}", "ListTables")
        without = {name: value for name, value in headers.items() if name != "authorization"}
        status, code, _ = self.send(b"{}", without)
        self.assertEqual((status, code), (400, "MissingAuthenticationTokenException"))
        broken = {**headers, "authorization": "AWS4-HMAC-SHA256 Credential=a"}
        status, code, _ = self.send(b"{}", broken)
        self.assertEqual((status, code), (400, "IncompleteSignatureException"))
        status, code, _ = self.send(b'{"Limit":1}', headers)
        self.assertEqual((status, code), (400, "InvalidSignatureException"))
        for minutes, words in ((-20, "Signature expired: "), (20, "Signature not yet current: ")):
            status, code, answer = self.signed({}, "ListTables", when=moment(minutes))
            self.assertEqual((status, code), (400, "InvalidSignatureException"))
            self.assertTrue(answer["message"].startswith(words), answer)

    def test_a_region_takes_signatures_for_itself_only(self):
        for region, address in self.own.items():
            for scoped in (VIRGINIA, IRELAND, "eu-north-1", "mars-1"):
                status, code, answer = self.signed({}, "ListTables", address, region=scoped)
                if scoped == region:
                    self.assertEqual(status, 200)
                else:
                    self.assertEqual((status, code), (400, "InvalidSignatureException"))
                    self.assertIn(f"valid region, not '{scoped}'", answer["message"])
        # The front door has to choose one for a Region that isn't there.
        status, code, _ = self.signed({}, "ListTables", region="mars-1")
        self.assertEqual((status, code), (400, "InvalidSignatureException"))

    # === What is asked ===

    def test_targets_that_name_no_operation(self):
        status, code, _ = self.signed({}, "MakeCoffee")
        self.assertEqual((status, code), (400, "UnknownOperationException"))
        for target in ("ListTables", "DynamoDB_20111205.ListTables", "", "DynamoDB_20120810."):
            status, code, _ = self.signed({}, "", **{"x-amz-target": target})
            self.assertEqual((status, code), (400, "UnknownOperationException"), target)

    def test_a_service_that_is_not_built_says_its_name(self):
        status, code, answer = self.signed({}, "ListTables", service="kinesis")
        self.assertEqual((status, code), (400, "NotImplemented"))
        self.assertIn("'kinesis'", answer["message"])

    def test_a_body_that_is_not_the_json_of_the_operation(self):
        for body in (
            b"", b"{", b"null", b"[]", b'"text"', b"{}x", b'{"TableName":}', b"\xff\xfe{}",
            b'{"TableName":["Wire"]}', b'{"TableName":1}', b'{"TableName":"\\ud800"}',
            b"[" * 100_000, b'{"Item":' * 100_000,
        ):
            status, code, _ = self.signed(body, "PutItem")
            self.assertEqual(status, 400, body[:40])
            self.assertIn(code, ("SerializationException", "ValidationException"), body[:40])
        self.assert_whole()

    def test_nesting_to_any_depth(self):
        deep = lambda count: '{"L":[' * count + '{"S":"x"}' + "]}" * count
        put = '{"TableName":"Wire","Item":{"id":{"S":"deep"},"deep":%s}}'
        status, *_ = self.signed((put % deep(30)).encode(), "PutItem")
        self.assertEqual(status, 200)
        for depth in (33, 100, 1000, 100_000, 1_000_000):
            status, code, _ = self.signed((put % deep(depth)).encode(), "PutItem")
            self.assertEqual(status, 400, depth)
            self.assertIn(code, ("SerializationException", "ValidationException"), depth)
        for count in (1000, 2000, 100_000, 1_000_000):
            for condition in (
                "(" * count + "id = :a" + ")" * count,
                "NOT " * count + "id = :a",
                "id = :a AND " * count + "id = :a",
                "a" + "[0]" * count + " = :a",
                "a" + ".a" * count + " = :a",
                "size(" * count + "id" + ")" * count + " = :a",
            ):
                status, *_ = self.signed(
                    {
                        "TableName": "Wire",
                        "Item": {"id": {"S": "condition"}},
                        "ConditionExpression": condition,
                        "ExpressionAttributeValues": {":a": {"S": "condition"}},
                    },
                    "PutItem",
                )
                self.assertEqual(status, 400, condition[:20])
        self.assert_whole()

    # === Sizes ===

    def test_a_body_over_16_mib_is_refused_and_one_of_16_mib_is_read(self):
        for address in (self.door, self.own[VIRGINIA]):
            body = b'{"Limit":1' + b" " * (16 * MIB - 11) + b"}"
            self.assertEqual(len(body), 16 * MIB)
            status, *_ = self.signed(body, "ListTables", address)
            self.assertEqual(status, 200)
            for over in (1, MIB):
                status, code, _ = self.signed(body + b" " * over, "ListTables", address)
                self.assertEqual((status, code), (413, "RequestEntityTooLargeException"))
        self.assert_whole()

    def test_a_length_beyond_all_measure_is_refused_without_its_body(self):
        for address in (self.door, self.own[VIRGINIA]):
            with socket.create_connection(address, timeout=30) as client:
                client.sendall(
                    b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n"
                    b"content-length: 1099511627776\r\n\r\n"
                )
                with client.makefile("rb") as answer:
                    status = answer.readline()
                    # The front door asks for the body before the site has looked at its length.
                    if status.startswith(b"HTTP/1.1 100 "):
                        self.assertEqual(answer.readline(), b"\r\n")
                        status = answer.readline()
                self.assertTrue(status.startswith(b"HTTP/1.1 413 "), status)

    def test_a_head_that_is_too_large(self):
        for address in (self.door, self.own[VIRGINIA]):
            with socket.create_connection(address, timeout=30) as client:
                try:
                    client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\nx-a: " + b"a" * MIB)
                    answer = client.recv(4096)
                except ConnectionError:
                    answer = b""
                self.assertIn(answer[:13], (b"HTTP/1.1 431 ", b""))
        self.assert_whole()

    # === Connections ===

    def test_rubbish_and_bodies_that_break_off(self):
        for address in (self.door, self.own[VIRGINIA]):
            for rubbish in (
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
                b"GET\r\n\r\n",
                b"\x00" * 4096,
                b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
                b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
                b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
                b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 900\r\n\r\n{}",
            ):
                with socket.create_connection(address, timeout=30) as client:
                    try:
                        client.sendall(rubbish)
                        client.shutdown(socket.SHUT_WR)
                        answer = client.recv(4096)
                    except OSError as error:
                        # Closed already, before the last of it was sent even.
                        self.assertNotIsInstance(error, TimeoutError, rubbish[:60])
                        answer = b""
                    self.assertIn(answer[:10], (b"HTTP/1.1 4", b""), (rubbish[:60], answer))
        self.assert_whole()

    def test_stalled_requests_are_closed_within_the_limit(self):
        answers = {}
        for name, stalled in self.stalled.items():
            stalled.settimeout(max(1.0, self.began + WAIT + 15 - time.monotonic()))
            answer = b""
            try:
                while part := stalled.recv(65536):
                    answer += part
            except ConnectionResetError:
                pass
            except TimeoutError:
                self.fail(f"{name} is still open after {time.monotonic() - self.began:.0f} s")
            answers[name] = answer
        for name, answer in answers.items():
            # A head that never ends may be closed without a word.
            allowed = (b"HTTP/1.1 408", b"") if name.startswith("a head") else (b"HTTP/1.1 408",)
            self.assertIn(answer[:12], allowed, name)
        self.assertGreaterEqual(time.monotonic() - self.began, WAIT - 1)
        self.assert_whole()


if __name__ == "__main__":
    unittest.main()
