"""What the tests of S3 share: buckets, objects, refusals, and requests that no SDK would send."""

import base64
import hashlib
import secrets
import socket
import unittest
import urllib.parse
from email.utils import formatdate

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from botocore.exceptions import ClientError
from lab import Lab, eventually

VIRGINIA, IRELAND, SINGAPORE = "us-east-1", "eu-west-1", "ap-southeast-1"

ROLE_TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"""
ROLE_POLICY = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*",
    "Resource": "*"}]}"""


def digest(data):
    """A Content-MD5."""
    return base64.b64encode(hashlib.md5(data).digest()).decode()


class Objects(unittest.TestCase):
    """One lab for all its tests; buckets have names of their own."""

    maxDiff = None
    lab_arguments = ("--delay-scale", "0.1")

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(*cls.lab_arguments)
        cls.addClassCleanup(cls.lab.close)
        cls.clients = {}

    @classmethod
    def s3(cls, region=VIRGINIA):
        """A client of S3 in that Region."""
        if region not in cls.clients:
            cls.clients[region] = cls.lab.client(region, "s3")
        return cls.clients[region]

    @classmethod
    def role(cls, name="s3-crr-role"):
        """A role that S3 may assume, with all rights; its ARN."""
        iam = cls.lab.client(VIRGINIA, "iam")
        try:
            made = eventually(lambda: cls.made_role(iam, name))
        except iam.exceptions.EntityAlreadyExistsException:
            made = iam.get_role(RoleName=name)
        iam.put_role_policy(RoleName=name, PolicyName="s3", PolicyDocument=ROLE_POLICY)
        return made["Role"]["Arn"]

    @staticmethod
    def made_role(iam, name):
        """Makes it, once the council can decide."""
        try:
            return iam.create_role(RoleName=name, AssumeRolePolicyDocument=ROLE_TRUST)
        except ClientError as error:
            if error.response["Error"]["Code"] != "Throttling":
                raise
            return None

    def bucket(self, region=VIRGINIA, versioned=False, **more):
        """A new bucket; its name."""
        name = f"test-{secrets.token_hex(6)}"
        where = {} if region == VIRGINIA else {
            "CreateBucketConfiguration": {"LocationConstraint": region}
        }

        def created():
            try:
                return self.s3(region).create_bucket(Bucket=name, **where, **more)
            except ClientError as error:
                # The council elects its leader just after a start.
                if error.response["Error"]["Code"] not in ("OperationAborted", "SlowDown",
                                                           "ServiceUnavailable", "Throttling"):
                    raise
                return None

        eventually(created)
        if versioned:
            self.s3(region).put_bucket_versioning(
                Bucket=name, VersioningConfiguration={"Status": "Enabled"}
            )
        return name

    def read(self, bucket, key, region=VIRGINIA, **more):
        """An object's bytes."""
        return self.s3(region).get_object(Bucket=bucket, Key=key, **more)["Body"].read()

    def keys(self, bucket, region=VIRGINIA):
        """The keys of a bucket's current objects."""
        pages = self.s3(region).get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def refused(self, code, status, call, text=None, **arguments):
        """The call is refused with that code and HTTP status; what the error says."""
        with self.assertRaises(ClientError) as raised:
            call(**arguments)
        response = raised.exception.response
        found = (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"])
        self.assertEqual(found, (code, status), response["Error"])
        if text is not None:
            self.assertEqual(response["Error"]["Message"], text)
        return response["Error"]

    def raw(self, method, path, query="", body=b"", headers=None, region=VIRGINIA, signed=True,
            scope=None, length=None, address=None, ends=False):
        """A request as it stands, and its answer: status, headers (lower case) and body. `length`
        is what Content-Length says, if not the truth; `ends`: the client says that no more comes."""
        host, port = address or ("127.0.0.1", self.lab.port)
        target = urllib.parse.quote(path, safe="/%~") + (f"?{query}" if query else "")
        request = botocore.awsrequest.AWSRequest(
            method, f"http://{host}:{port}{target}", data=body,
            headers={"Host": f"{host}:{port}", **(headers or {})},
        )
        if signed:
            signer(self.lab, scope or region).add_auth(request)
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        lines += [f"Content-Length: {len(body) if length is None else length}"]
        head = "\r\n".join([*lines, "Connection: close", "", ""]).encode("utf-8")
        return self.exchange((host, port), head + body, ends)

    @staticmethod
    def exchange(address, data, ends=False):
        """Sends these bytes, says that no more come if it `ends` so (whoever does is taken to have
        left), and reads the answer."""
        with socket.create_connection(address, timeout=20) as link:
            try:
                link.sendall(data)
                if ends:
                    link.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # It may have answered and closed before the end.
            received = b""
            try:
                # Whoever waits for the rest of a body answers, and doesn't close.
                while not whole(received) and (more := link.recv(65536)):
                    received += more
            except ConnectionResetError:
                pass
        return parsed(received)

    def replicated(self, markers="Enabled", rest=None, pair=(VIRGINIA, IRELAND)):
        """A bucket in the one Region that is replicated to one in the other."""
        source, destination = (self.bucket(region, versioned=True) for region in pair)
        self.s3(pair[0]).put_bucket_replication(Bucket=source, ReplicationConfiguration={
            "Role": self.role(), "Rules": [{
                "ID": "all", "Status": "Enabled", "Priority": 1, "Filter": {},
                "DeleteMarkerReplication": {"Status": markers},
                "Destination": {"Bucket": f"arn:aws:s3:::{destination}"}, **(rest or {}),
            }],
        })
        return source, destination


def parsed(received):
    """Status, headers (lower case) and body of an answer as far as it came."""
    head, _, body = received.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in
               (line.partition(":") for line in rest)}
    status = int(first.split(" ")[1]) if " " in first else 0
    return status, headers, body


def whole(received):
    """Is that an answer with all of its body, by the length that it says?"""
    _, headers, body = parsed(received)
    return "content-length" in headers and len(body) == int(headers["content-length"])


class Signer(botocore.auth.S3SigV4Auth):
    """Signs for S3, and lets a request say itself what its body is."""

    def _modify_request_before_signing(self, request):
        said = request.headers.get("x-amz-content-sha256")
        super()._modify_request_before_signing(request)
        if said is not None:
            del request.headers["X-Amz-Content-SHA256"]
            request.headers["X-Amz-Content-SHA256"] = said


def signer(lab, region):
    """Signs for S3 with the lab's credentials."""
    credentials = botocore.credentials.Credentials(
        lab.environment["AWS_ACCESS_KEY_ID"], lab.environment["AWS_SECRET_ACCESS_KEY"]
    )
    return Signer(credentials, "s3", region)


def date():
    """Now, as HTTP writes it."""
    return formatdate(usegmt=True)
