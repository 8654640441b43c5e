"""What the suite's cases share: clients, buckets, roles, rules, waiting. Black-box: it knows an S3
endpoint, its IAM, and nothing of what is behind them. README.md says how to point it anywhere."""

import datetime
import hashlib
import json
import os
import secrets
import shlex
import subprocess
import time
import unittest
import urllib.parse

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.httpsession
from botocore.config import Config
from botocore.exceptions import ClientError

# Where source, destination and further destination stand.
REGIONS = os.environ.get("CONFORMANCE_REGIONS", "us-east-1,eu-west-1,ap-southeast-1").split(",")
SOURCE, DESTINATION, FURTHER = REGIONS[:3]

# Seconds within which something has to be replicated; AWS wants 900.
WAIT = float(os.environ.get("CONFORMANCE_WAIT", "30"))

# Seconds that something that shall not be replicated is given after what was put behind it came.
QUIET = float(os.environ.get("CONFORMANCE_QUIET", "0.3"))

# Seconds until a role just made is known everywhere; AWS wants 15.
SETTLE = float(os.environ.get("CONFORMANCE_SETTLE", "1"))

# Every bucket's and role's name begins so.
PREFIX = "conformance-"

# Too large to be kept beside the metadata, and no multiple of anything.
LARGE = 100_003

READ_SOURCE = [
    "s3:GetReplicationConfiguration", "s3:ListBucket", "s3:GetObjectVersionForReplication",
    "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging", "s3:GetObjectRetention",
    "s3:GetObjectLegalHold",
]
WRITE_DESTINATION = [
    "s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags",
    "s3:ObjectOwnerOverrideToBucketOwner", "s3:GetObjectVersionTagging",
]

_clients = {}
_roles = {}


def client(region, service="s3"):
    """A client in a Region. Where an endpoint is set, it tries once, so that nothing is hidden."""
    if (region, service) not in _clients:
        attempts = 1 if os.environ.get("AWS_ENDPOINT_URL") else 3
        config = Config(retries={"total_max_attempts": attempts}, read_timeout=60)
        # A session of its own: boto3's default one would keep these credentials for others.
        session = boto3.session.Session()
        client = session.client(service, region_name=region, config=config)
        _clients[region, service] = client
    return _clients[region, service]


def forget():
    """Drops what is remembered of an endpoint, for a run against another."""
    _clients.clear()
    _roles.clear()


def body(size=LARGE):
    """Bytes that nobody else has."""
    return secrets.token_bytes(size)


def role(name="replicates", trust="s3.amazonaws.com", actions=None):
    """The ARN of a role for S3, made once a run: it may do what replication takes, or only those
    actions."""
    if name == "replicates" and os.environ.get("CONFORMANCE_ROLE"):
        return os.environ["CONFORMANCE_ROLE"]
    if name not in _roles:
        iam = client("us-east-1", "iam")
        full = f"{PREFIX}{name}-{secrets.token_hex(4)}"
        allow = {"Effect": "Allow", "Principal": {"Service": trust}, "Action": "sts:AssumeRole"}
        made = iam.create_role(
            RoleName=full, AssumeRolePolicyDocument=document(allow), Description="Conformance",
        )
        wanted = READ_SOURCE + WRITE_DESTINATION if actions is None else actions
        iam.put_role_policy(
            RoleName=full, PolicyName="replication",
            PolicyDocument=document({
                "Effect": "Allow", "Action": wanted,
                "Resource": [f"arn:aws:s3:::{PREFIX}*", f"arn:aws:s3:::{PREFIX}*/*"],
            }),
        )
        _roles[name] = made["Role"]["Arn"]
        unittest.addModuleCleanup(remove_role, full)
        time.sleep(SETTLE)
    return _roles[name]


def remove_role(full):
    """Takes a role away again."""
    iam = client("us-east-1", "iam")
    iam.delete_role_policy(RoleName=full, PolicyName="replication")
    iam.delete_role(RoleName=full)
    for name, arn in list(_roles.items()):
        if arn.endswith(full):
            del _roles[name]


def document(*statements):
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def arn(bucket):
    """A bucket's ARN."""
    return f"arn:aws:s3:::{bucket}"


def rule(destination, priority=1, markers="Disabled", **changes):
    """A rule of the present schema (V2): everything, to one destination."""
    whole = {
        "Status": "Enabled", "Priority": priority, "Filter": {},
        "DeleteMarkerReplication": {"Status": markers},
        "Destination": {"Bucket": arn(destination)},
    }
    return {**whole, **changes}


def first_rule(destination, prefix="", **changes):
    """A rule of the first schema (V1)."""
    whole = {"Status": "Enabled", "Prefix": prefix, "Destination": {"Bucket": arn(destination)}}
    return {**whole, **changes}


def eventually(condition, what, seconds=None):
    """Waits until the condition holds and returns its value."""
    deadline = time.monotonic() + (WAIT if seconds is None else seconds)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not so in time: {what}; the last value was {value!r}")
        time.sleep(0.03)


def raw(region, method, path, query="", payload=b"", headers=None):
    """A signed request as it stands, for what no SDK would send: status, headers and body."""
    endpoint = client(region).meta.endpoint_url
    url = f"{endpoint}{urllib.parse.quote(path)}" + (f"?{query}" if query else "")
    request = botocore.awsrequest.AWSRequest(method, url, data=payload, headers=headers or {})
    credentials = boto3.Session().get_credentials().get_frozen_credentials()
    botocore.auth.S3SigV4Auth(credentials, "s3", region).add_auth(request)
    answer = botocore.httpsession.URLLib3Session().send(request.prepare())
    return answer.status_code, answer.headers, answer.content


class Case(unittest.TestCase):
    """A test with buckets of its own, which are gone when it ends."""

    maxDiff = None

    def bucket(self, region, versioned=True, lock=False):
        """A new bucket in a Region."""
        name = f"{PREFIX}{secrets.token_hex(8)}"
        where = {} if region == "us-east-1" else {
            "CreateBucketConfiguration": {"LocationConstraint": region}
        }
        client(region).create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock, **where)
        self.addCleanup(self.remove, region, name)
        if versioned and not lock:
            self.versioning(region, name, "Enabled")
        return name

    def versioning(self, region, name, status):
        """Switches versioning."""
        client(region).put_bucket_versioning(
            Bucket=name, VersioningConfiguration={"Status": status}
        )

    def remove(self, region, name):
        """Removes a bucket with all that is in it; one that is gone already is fine."""
        s3 = client(region)
        try:
            s3.delete_bucket_replication(Bucket=name)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchBucket":
                return
            raise
        for _ in range(20):
            s3.delete_bucket_policy(Bucket=name)
            for version in self.versions(region, name):
                self.remove_version(s3, name, version)
            try:
                return s3.delete_bucket(Bucket=name)
            except ClientError as error:
                # What was under way to it may still come.
                if error.response["Error"]["Code"] != "BucketNotEmpty":
                    raise
                time.sleep(0.1)
        raise AssertionError(f"{name} isn't empty after all its versions were removed")

    def remove_version(self, s3, name, version):
        """Removes a version, also one that is locked under governance or held."""
        where = {"Bucket": name, "Key": version["Key"], "VersionId": version["VersionId"]}
        try:
            s3.delete_object(**where)
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise
            s3.put_object_legal_hold(**where, LegalHold={"Status": "OFF"})
            s3.delete_object(**where, BypassGovernanceRetention=True)

    def pair(self, further=False, lock=False):
        """A source and a destination (and a further one), versioned."""
        regions = REGIONS[:3] if further else REGIONS[:2]
        return [self.bucket(region, lock=lock) for region in regions]

    def replicate(self, region, bucket, *rules, by=None):
        """Sets a bucket's replication."""
        client(region).put_bucket_replication(
            Bucket=bucket, ReplicationConfiguration={"Role": by or role(), "Rules": list(rules)}
        )

    def put(self, region, bucket, key, data=None, **more):
        """Puts an object and returns the answer."""
        data = body() if data is None else data
        return client(region).put_object(Bucket=bucket, Key=key, Body=data, **more)

    def head(self, region, bucket, key, version=None, **more):
        """What HEAD says of it; nothing if it isn't there."""
        where = {"VersionId": version} if version else {}
        try:
            return client(region).head_object(Bucket=bucket, Key=key, **where, **more)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise

    def status(self, region, bucket, key, version=None):
        """Its replication status; nothing if it has none."""
        return self.head(region, bucket, key, version).get("ReplicationStatus")

    def settles(self, region, bucket, key, wanted, version=None):
        """Waits for a replication status. One that nothing leads out of fails at once."""
        def settled():
            status = self.status(region, bucket, key, version)
            if status != wanted and status in ("COMPLETED", "FAILED"):
                raise AssertionError(f"{key} is {status}, not {wanted}")
            return status == wanted
        eventually(settled, f"{key} is {wanted}")

    def arrives(self, region, bucket, key, version=None, **more):
        """Waits until it is there and returns what HEAD says."""
        return eventually(
            lambda: self.head(region, bucket, key, version, **more), f"{key} is in {bucket}"
        )

    def versions(self, region, bucket, key=None):
        """All versions and delete markers, newest first within a key, as S3 lists them."""
        found = []
        for page in client(region).get_paginator("list_object_versions").paginate(Bucket=bucket):
            found += [{**version, "Marker": False} for version in page.get("Versions", [])]
            found += [{**marker, "Marker": True} for marker in page.get("DeleteMarkers", [])]
        if key is not None:
            found = [version for version in found if version["Key"] == key]
        return sorted(found, key=lambda v: (v["Key"], not v["IsLatest"], -stamp(v)))

    def marker(self, region, bucket, key):
        """The current delete marker; nothing if there is none."""
        return next((v for v in self.versions(region, bucket, key)
                     if v["Marker"] and v["IsLatest"]), None)

    def keys(self, region, bucket):
        """The keys of all versions."""
        return {version["Key"] for version in self.versions(region, bucket)}

    def fence(self, source, destination, key="fence", regions=(SOURCE, DESTINATION), **more):
        """Puts an object that is replicated, and waits for it: what was to come before it came."""
        key = f"{key}-{secrets.token_hex(4)}"
        self.put(regions[0], source, key, **more)
        self.arrives(regions[1], destination, key)
        time.sleep(QUIET)
        return key

    def read(self, region, bucket, key, **more):
        """An object's bytes."""
        return client(region).get_object(Bucket=bucket, Key=key, **more)["Body"].read()

    def refused(self, call, code, status, text=None, pattern=None, **arguments):
        """The call is refused with that code and HTTP status, and with that very text, or with one
        that has what the pattern says."""
        with self.assertRaises(ClientError) as raised:
            call(**arguments)
        response = raised.exception.response
        error = response["Error"]
        self.assertEqual(
            (error["Code"], response["ResponseMetadata"]["HTTPStatusCode"]), (code, status), error
        )
        if text is not None:
            self.assertEqual(error["Message"], text)
        if pattern is not None:
            self.assertRegex(error["Message"], pattern)
        return error

    def unless_refused(self, what, codes, call, **arguments):
        """Calls; skips the test by name where the endpoint says that it doesn't have that."""
        try:
            return call(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] in codes:
                self.skipTest(f"NOT TESTED: this endpoint has no {what}: {error}")
            raise


def stamp(version):
    """When it was made, in seconds."""
    return version["LastModified"].timestamp()


def midnight(days):
    """Midnight so many days from now, UTC, as lifecycle rules want it."""
    today = datetime.datetime.now(datetime.timezone.utc).date() + datetime.timedelta(days=days)
    return datetime.datetime.combine(today, datetime.time(), datetime.timezone.utc)


def customer_key():
    """A key that only the customer has, as SSE-C takes it."""
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": secrets.token_bytes(32)}


def md5(data):
    """An ETag of one part."""
    return '"%s"' % hashlib.md5(data, usedforsecurity=False).hexdigest()


def command(name, *regions):
    """Runs the command that a variable holds, `{0}` and `{1}` standing for Regions; skips the test
    if there is none."""
    words = os.environ.get(name)
    if not words:
        raise unittest.SkipTest(f"NOT TESTED: {name} is not set, so no outage can be made")
    filled = [word.format(*regions) for word in shlex.split(words)]
    subprocess.run(filled, check=True, capture_output=True, timeout=60)


class Outage:
    """No two Regions of these reach each other within it."""

    def __init__(self, *regions):
        self.regions = regions

    def __enter__(self):
        command("CONFORMANCE_CUT", *self.regions)
        return self

    def __exit__(self, *_):
        command("CONFORMANCE_HEAL", *self.regions)
