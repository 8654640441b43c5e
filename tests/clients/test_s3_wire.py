"""What a broken or hostile client sends to S3: it is refused by name, and changes nothing."""

import base64
import http.client
import socket
import unittest
import zlib

import botocore.awsrequest
from s3 import VIRGINIA, Objects, digest, signer


def crc32(data):
    """A checksum as the header has it."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


class Wire(Objects):
    """Raw requests to one lab."""

    lab_arguments = ("--delay-scale", "0")

    def setUp(self):
        self.name = self.bucket()
        self.s3().put_object(Bucket=self.name, Key="there", Body=b"what was there")

    def code(self, answer, code, status):
        self.assertEqual(answer[0], status, answer)
        self.assertIn(f"<Code>{code}</Code>".encode(), answer[2])
        self.assertIn(b"<RequestId>", answer[2])
        self.assertIn("x-amz-request-id", answer[1])

    def unchanged(self):
        self.assertEqual(self.read(self.name, "there"), b"what was there")
        self.assertEqual(self.keys(self.name), ["there"])

    def put(self, key="there", body=b"other", query="", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.raw("PUT", f"/{self.name}/{key}", query, body, named)

    def test_wrong_digests_change_nothing(self):
        self.code(self.put(Content_MD5=digest(b"another")), "BadDigest", 400)
        self.code(self.put(Content_MD5="short"), "InvalidDigest", 400)
        self.code(self.put(x_amz_checksum_crc32=crc32(b"another")), "BadDigest", 400)
        self.code(self.put(x_amz_checksum_sha256="####"), "InvalidRequest", 400)
        self.code(self.put(x_amz_checksum_md4="AAAA"), "InvalidRequest", 400)
        self.code(
            self.put(x_amz_content_sha256="0" * 64), "XAmzContentSHA256Mismatch", 400
        )
        self.unchanged()
        self.assertEqual(self.put("right", b"right", x_amz_checksum_crc32=crc32(b"right"))[0], 200)

    def test_a_trailer_is_verified(self):
        for data, of, status in ((b"trailed", b"trailed", 200), (b"trailed", b"other", 400)):
            chunks = b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n" % (
                len(data), data, crc32(of).encode()
            )
            answer = self.put(
                "trailed", chunks, Content_Encoding="aws-chunked",
                x_amz_decoded_content_length=str(len(data)), x_amz_trailer="x-amz-checksum-crc32",
                x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            )
            self.assertEqual(answer[0], status, answer)
        self.assertIn(b"<Code>BadDigest</Code>", answer[2])
        self.assertEqual(self.read(self.name, "trailed"), b"trailed")
        head = self.s3().head_object(Bucket=self.name, Key="trailed", ChecksumMode="ENABLED")
        self.assertEqual(head["ChecksumCRC32"], crc32(b"trailed"))
        self.assertNotIn("aws-chunked", head.get("ContentEncoding", ""))

    def test_a_chunked_body_of_another_length_than_it_says_is_refused(self):
        for length in ("3", "30"):
            answer = self.put(
                body=b"7\r\ntrailed\r\n0\r\n\r\n", Content_Encoding="aws-chunked",
                x_amz_decoded_content_length=length,
                x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            )
            self.assertEqual(answer[0], 400, answer)
        self.unchanged()

    def test_a_body_that_ends_early_leaves_nothing(self):
        for size in (10, 500_000):
            answer = self.raw(
                "PUT", f"/{self.name}/there", body=b"x" * size, length=size + 1000,
                headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, ends=True,
            )
            self.assertIn(answer[0], (0, 400), answer)
        self.unchanged()

    def test_a_body_without_a_length_is_refused(self):
        head = (
            f"PUT /{self.name}/there HTTP/1.1\r\nHost: 127.0.0.1:{self.lab.port}\r\n"
            "Connection: close\r\n\r\n"
        )
        answer = self.exchange(("127.0.0.1", self.lab.port), head.encode())
        self.assertIn(answer[0], (403, 411), answer)
        self.unchanged()

    def test_sub_resources_that_nobody_knows_are_refused_by_name(self):
        for query in ("annotation=foo", "annotations", "bogus", "torrent", "website"):
            for method in ("GET", "PUT", "DELETE", "POST"):
                answer = self.raw(method, f"/{self.name}/there", query, b"x" if method == "PUT"
                                  else b"")
                self.assertIn(answer[0], (400, 405, 501), (method, query, answer))
        self.unchanged()

    def test_a_forged_or_old_signature_is_refused(self):
        forged = self.lab.client(VIRGINIA, "s3", aws_secret_access_key="guess")
        self.refused("SignatureDoesNotMatch", 403, forged.get_object, Bucket=self.name, Key="there")
        stranger = self.lab.client(VIRGINIA, "s3", aws_access_key_id="AKIASTRANGER00000000")
        error = self.refused("InvalidAccessKeyId", 403, stranger.list_buckets)
        self.assertEqual(
            error["Message"], "The AWS Access Key Id you provided does not exist in our records."
        )

    def test_nobody_without_a_signature_gets_in(self):
        for method, path in (("GET", f"/{self.name}/there"), ("GET", f"/{self.name}"),
                             ("PUT", f"/{self.name}/there"), ("DELETE", f"/{self.name}/there")):
            answer = self.raw(method, path, body=b"x" if method == "PUT" else b"", signed=False)
            self.code(answer, "AccessDenied", 403)
        self.unchanged()

    def test_keys_of_every_byte_that_is_allowed(self):
        keys = ["../../etc/passwd", "a/../b", "./.", "//", "a//b", "\x01\x7f", "%2e%2e", "a\\b",
                "ключ", "😀", "a?b#c&d=e+f g", "." * 3, "x" * 1024, "é" * 512, "null", "\n\r\t"]
        s3 = self.s3()
        for key in keys:
            s3.put_object(Bucket=self.name, Key=key, Body=key.encode())
        for key in keys:
            self.assertEqual(self.read(self.name, key), key.encode(), key)
        expected = sorted([*keys, "there"], key=lambda k: k.encode())
        self.assertEqual(self.keys(self.name), expected)
        deleted = s3.delete_objects(
            Bucket=self.name, Delete={"Objects": [{"Key": k} for k in keys if min(k) >= " "]}
        )
        self.assertEqual(deleted.get("Errors", []), [])
        self.refused(
            "KeyTooLongError", 400, s3.put_object, Bucket=self.name, Key="x" * 1025, Body=b"",
        )

    def test_keys_of_bytes_that_are_no_text_are_refused(self):
        for path in ("%ff%fe", "a%80"):
            status, _, _ = self.raw("PUT", f"/{self.name}/{path}", body=b"x")
            self.assertEqual(status // 100, 4)
        self.unchanged()

    def test_huge_headers_are_refused(self):
        answer = self.put(x_amz_meta_a="x" * 2049)
        self.code(answer, "MetadataTooLarge", 400)
        answer = self.put(x_amz_meta_a="x" * 500_000)
        self.assertIn(answer[0], (0, 400, 431), answer[0])
        self.unchanged()

    def test_xml_that_is_a_bomb_or_none_is_refused(self):
        bomb = b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
        tagging = b"<Tagging><TagSet><Tag><Key>k</Key><Value>%s</Value></Tag></TagSet></Tagging>"
        for body in (bomb + tagging % b"&b;", tagging % b"<", b"<Tagging>", b"\xff\xfe", b"",
                     b"<a>" * 100_000, tagging[:-3]):
            answer = self.raw("PUT", f"/{self.name}/there", "tagging", body,
                              {"Content-MD5": digest(body)})
            self.assertEqual(answer[0], 400, (body[:40], answer))
            self.assertRegex(answer[2], b"<Code>(MalformedXML|MissingRequestBodyError)</Code>")
        tags = self.s3().get_object_tagging(Bucket=self.name, Key="there")["TagSet"]
        self.assertEqual(tags, [])

    def test_a_wrong_digest_of_a_configuration_is_refused(self):
        body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        answer = self.raw("PUT", f"/{self.name}", "versioning", body,
                          {"Content-MD5": digest(b"other")})
        self.code(answer, "BadDigest", 400)
        self.assertNotIn("Status", self.s3().get_bucket_versioning(Bucket=self.name))

    def test_too_large_an_object_is_refused_before_it_is_sent(self):
        answer = self.raw(
            "PUT", f"/{self.name}/there", length=5 * 1024**3 + 1,
            headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"},
        )
        self.code(answer, "EntityTooLarge", 400)
        self.unchanged()

    def test_virtual_hosts_name_the_bucket(self):
        for host in (f"{self.name}.s3.localhost", f"{self.name}.s3.{VIRGINIA}.amazonaws.com"):
            status, _, body = self.raw("GET", "/there", headers={"Host": host})
            self.assertEqual((status, body), (200, b"what was there"), host)

    def test_a_connection_that_is_kept_carries_one_after_the_other(self):
        # Empty bodies, bodies, and answers with both, each with the length that it says.
        for address in (("127.0.0.1", self.lab.port), self.lab.address(VIRGINIA)):
            link = http.client.HTTPConnection(*address, timeout=20)
            link.connect()
            kept = link.sock
            try:
                for body in (b"", b"some bytes", b"", b"x" * 200_000, b""):
                    for method in ("PUT", "GET", "HEAD"):
                        sent = body if method == "PUT" else b""
                        request = botocore.awsrequest.AWSRequest(
                            method, f"http://{address[0]}:{address[1]}/{self.name}/kept",
                            data=sent, headers={"Host": f"{address[0]}:{address[1]}"},
                        )
                        signer(self.lab, VIRGINIA).add_auth(request)
                        headers = dict(request.headers.items())
                        if method == "PUT":
                            headers["Content-Length"] = str(len(sent))
                        link.request(method, f"/{self.name}/kept", sent or None, headers)
                        answer = link.getresponse()
                        length, got = answer.headers["Content-Length"], answer.read()
                        self.assertEqual(answer.status, 200, got)
                        self.assertIs(link.sock, kept, (method, len(body)))
                        if method != "PUT":
                            self.assertEqual(length, str(len(body)))
                        if method == "GET":
                            self.assertEqual(got, body)
            finally:
                link.close()

    def test_nobody_begins_an_upload_in_parts(self):
        s3 = self.s3()
        s3.delete_public_access_block(Bucket=self.name)
        s3.put_bucket_ownership_controls(
            Bucket=self.name,
            OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]},
        )
        s3.put_bucket_acl(Bucket=self.name, ACL="public-read-write")
        answer = self.raw("PUT", f"/{self.name}/theirs", body=b"x", signed=False)
        self.assertEqual(answer[0], 200, answer)
        answer = self.raw("POST", f"/{self.name}/theirs", "uploads", signed=False)
        self.code(answer, "AccessDenied", 403)
        self.assertIn(b"Anonymous users cannot initiate multipart uploads.", answer[2])

    def test_a_header_makes_no_replica(self):
        answer = self.put(x_amz_source_replication_status="REPLICA")
        self.code(answer, "NotImplemented", 501)
        self.assertIn(b"x-amz-source-replication-status", answer[2])
        self.unchanged()

    def test_a_client_that_stands_still_holds_nobody_up(self):
        head = (
            f"PUT /{self.name}/there HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nx"
        )
        links = [socket.create_connection(("127.0.0.1", self.lab.port)) for _ in range(50)]
        try:
            for link in links:
                link.sendall(head.encode())
            self.unchanged()
        finally:
            for link in links:
                link.close()

    def test_head_has_no_body_and_tells_the_length(self):
        status, headers, body = self.raw("HEAD", f"/{self.name}/there")
        self.assertEqual((status, headers["content-length"], body), (200, "14", b""))
        status, headers, body = self.raw("HEAD", f"/{self.name}/nowhere")
        self.assertEqual((status, body), (404, b""))

    def test_the_expected_owner_is_compared(self):
        answer = self.raw("GET", f"/{self.name}/there",
                          headers={"x-amz-expected-bucket-owner": "999988887777"})
        self.code(answer, "AccessDenied", 403)
        answer = self.raw("GET", f"/{self.name}/there",
                          headers={"x-amz-expected-bucket-owner": "111122223333"})
        self.assertEqual(answer[0], 200)


if __name__ == "__main__":
    unittest.main()
