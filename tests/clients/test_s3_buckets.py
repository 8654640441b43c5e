"""What buckets let others do, and whom they tell: policies, lists, other origins, events."""

import http.server
import json
import threading
import time
import unittest
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from lab import eventually
from s3 import VIRGINIA, Objects

QUEUE = "arn:aws:sqs:us-east-1:111122223333:orders"


class Webhook(http.server.BaseHTTPRequestHandler):
    """Takes messages, unless it is told not to."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        status = 200 if self.server.takes else 500
        if self.server.takes:
            self.server.took.append(json.loads(body))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Sharing(Objects):
    """One lab that may tell one webhook."""

    @classmethod
    def setUpClass(cls):
        cls.webhook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
        cls.webhook.takes, cls.webhook.took = True, []
        threading.Thread(target=cls.webhook.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.webhook.server_close)
        cls.addClassCleanup(cls.webhook.shutdown)
        address = f"http://127.0.0.1:{cls.webhook.server_port}/events"
        cls.lab_arguments = ("--delay-scale", "0.1", "--webhooks", f"orders={address}")
        super().setUpClass()

    def plain(self, path, method="GET", **headers):
        """The answer to a request that nobody signed: status, headers, body."""
        url = f"{self.lab.environment['AWS_ENDPOINT_URL']}{path}"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def user(self, name):
        """A new user without policies; its ARN and a client of S3 that calls as it."""
        iam = self.lab.client(VIRGINIA, "iam")

        def made():
            try:
                return iam.create_user(UserName=name)
            except ClientError as error:
                if error.response["Error"]["Code"] != "Throttling":
                    raise
                return None

        arn = eventually(made)["User"]["Arn"]
        key = iam.create_access_key(UserName=name)["AccessKey"]
        client = boto3.client(
            "s3",
            region_name=VIRGINIA,
            endpoint_url=self.lab.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            config=Config(retries={"total_max_attempts": 1}),
        )
        return arn, client

    @staticmethod
    def policy(*statements):
        return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})

    def code(self, call, **parameters):
        """What a call is refused with."""
        with self.assertRaises(ClientError) as caught:
            call(**parameters)
        return caught.exception.response["Error"]["Code"]

    def test_a_policy_lets_in_whom_it_names_and_no_further_than_it_says(self):
        s3, bucket = self.s3(), self.bucket()
        arn, alice = self.user("alice-of-policies")
        s3.put_object(Bucket=bucket, Key="in/k", Body=b"x")
        s3.put_object(Bucket=bucket, Key="out/k", Body=b"x", Tagging="secret=yes")
        self.assertEqual(self.code(alice.get_object, Bucket=bucket, Key="in/k"), "AccessDenied")
        whole = f"arn:aws:s3:::{bucket}"
        s3.put_bucket_policy(Bucket=bucket, Policy=self.policy(
            {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "s3:GetObject",
             "Resource": f"{whole}/*"},
            {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "s3:ListBucket",
             "Resource": whole, "Condition": {"StringLike": {"s3:prefix": "in/*"}}},
            {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
             "Resource": f"{whole}/*",
             "Condition": {"StringEquals": {"s3:ExistingObjectTag/secret": "yes"}}},
        ))
        alice.get_object(Bucket=bucket, Key="in/k")
        self.assertEqual(self.code(alice.get_object, Bucket=bucket, Key="out/k"), "AccessDenied")
        self.assertEqual(self.code(s3.get_object, Bucket=bucket, Key="out/k"), "AccessDenied")
        listed = alice.list_objects_v2(Bucket=bucket, Prefix="in/")
        self.assertEqual([one["Key"] for one in listed["Contents"]], ["in/k"])
        self.assertEqual(self.code(alice.list_objects_v2, Bucket=bucket), "AccessDenied")
        self.assertEqual(
            self.code(alice.put_object, Bucket=bucket, Key="in/k", Body=b"y"), "AccessDenied"
        )
        shown = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        self.assertEqual(shown["Statement"][0]["Principal"], {"AWS": arn})
        self.assertFalse(s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"])
        unknown = self.policy({"Effect": "Allow", "Principal": {"AWS": f"{arn}-not"},
                               "Action": "s3:GetObject", "Resource": f"{whole}/*"})
        refused = self.code(s3.put_bucket_policy, Bucket=bucket, Policy=unknown)
        self.assertEqual(refused, "MalformedPolicy")

    def test_the_public_reads_what_it_is_let(self):
        s3, bucket = self.s3(), self.bucket()
        s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
        readers = self.policy({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
                               "Resource": f"arn:aws:s3:::{bucket}/*"})
        self.assertEqual(self.plain(f"/{bucket}/k")[0], 403)
        refused = self.code(s3.put_bucket_policy, Bucket=bucket, Policy=readers)
        self.assertEqual(refused, "AccessDenied")
        s3.delete_public_access_block(Bucket=bucket)
        s3.put_bucket_policy(Bucket=bucket, Policy=readers)
        status, _, body = self.plain(f"/{bucket}/k")
        self.assertEqual((status, body), (200, b"hello"))
        self.assertEqual(self.plain(f"/{bucket}")[0], 403)
        self.assertEqual(self.plain(f"/{bucket}/k", "DELETE")[0], 403)

        s3.delete_bucket_policy(Bucket=bucket)
        s3.put_bucket_ownership_controls(
            Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        )
        s3.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
        self.assertEqual(self.plain(f"/{bucket}/k")[0], 200)
        s3.put_public_access_block(
            Bucket=bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True}
        )
        self.assertEqual(self.plain(f"/{bucket}/k")[0], 403)

    def test_other_origins_are_told_what_the_rules_say(self):
        s3, bucket = self.s3(), self.bucket()
        asked = {"Origin": "https://a.example.com", "Access_Control_Request_Method": "PUT"}
        self.assertEqual(self.plain(f"/{bucket}/k", "OPTIONS", **asked)[0], 403)
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [{
            "AllowedMethods": ["PUT", "GET"], "AllowedOrigins": ["https://*.example.com"],
            "MaxAgeSeconds": 30,
        }]})
        status, headers, _ = self.plain(f"/{bucket}/k", "OPTIONS", **asked)
        self.assertEqual(status, 200)
        self.assertEqual(headers["access-control-allow-origin"], "https://a.example.com")
        self.assertEqual(headers["access-control-max-age"], "30")
        _, headers, _ = self.plain(f"/{bucket}/k", Origin="https://a.example.com")
        self.assertEqual(headers["access-control-allow-origin"], "https://a.example.com")

    def test_events_come_in_order_once_their_target_takes_them(self):
        s3, bucket = self.s3(), self.bucket()
        refused = self.code(
            s3.put_bucket_notification_configuration,
            Bucket=bucket,
            NotificationConfiguration={"QueueConfigurations": [
                {"QueueArn": f"{QUEUE}-not", "Events": ["s3:ObjectCreated:*"]},
            ]},
        )
        self.assertEqual(refused, "InvalidArgument")
        self.webhook.takes = False
        self.addCleanup(setattr, self.webhook, "takes", True)
        s3.put_bucket_notification_configuration(
            Bucket=bucket,
            NotificationConfiguration={"QueueConfigurations": [{
                "Id": "mine", "QueueArn": QUEUE,
                "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}},
            }]},
        )
        for number in range(5):
            s3.put_object(Bucket=bucket, Key="in/a b", Body=b"x" * number)
        s3.put_object(Bucket=bucket, Key="out/a", Body=b"x")
        s3.delete_object(Bucket=bucket, Key="in/a b")
        time.sleep(0.5)
        self.webhook.takes = True

        def records():
            messages = list(self.webhook.took)
            found = [one for message in messages for one in message.get("Records", [])]
            return [one for one in found if one["s3"]["bucket"]["name"] == bucket]

        eventually(lambda: len(records()) >= 6)
        tests = [one for one in self.webhook.took if one.get("Bucket") == bucket]
        self.assertEqual([one["Event"] for one in tests], ["s3:TestEvent"])
        told = records()
        names = [one["eventName"] for one in told]
        self.assertEqual(names, ["ObjectCreated:Put"] * 5 + ["ObjectRemoved:Delete"])
        self.assertEqual([one["s3"]["object"].get("size") for one in told[:5]], list(range(5)))
        self.assertEqual({one["s3"]["object"]["key"] for one in told}, {"in/a+b"})
        sequencers = [one["s3"]["object"]["sequencer"] for one in told]
        self.assertEqual(sequencers, sorted(set(sequencers)))


if __name__ == "__main__":
    unittest.main()
