"""Flow logs of accelerators with boto3: who may enable them, and what stands in the objects of TCP
and UDP flows, whatever Region the bucket is in."""

import collections
import gzip
import json
import os
import re
import signal
import socket
import unittest

from accelerators import Accelerators, Endpoint, addresses
from botocore.exceptions import ClientError
from lab import Lab, eventually, free_port

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"
ACCOUNT = "111122223333"
DELIVERY = {"Service": "delivery.logs.amazonaws.com"}

# As the guide has it.
HEADER = (
    "version aws_account_id accelerator_id client_ip client_port accelerator_ip accelerator_port "
    "endpoint_ip endpoint_port protocol ip_address_type packets bytes start_time end_time action "
    "log_status globalaccelerator_source_ip globalaccelerator_source_port endpoint_region "
    "globalaccelerator_region direction vpc_id"
)
KEY = re.compile(
    rf"(.*)AWSLogs/{ACCOUNT}/globalaccelerator/us-west-2/(\d{{4}})/(\d\d)/(\d\d)/"
    rf"{ACCOUNT}_globalaccelerator_([0-9a-f-]+)_(\d{{8}}T\d{{4}}Z)_[0-9a-f]{{8}}\.log\.gz"
)


def policy(bucket, prefix):
    """What the guide has a bucket's policy say."""
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {
            "Sid": "AWSLogDeliveryWrite", "Effect": "Allow", "Principal": DELIVERY,
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{bucket}/{prefix}/AWSLogs/{ACCOUNT}/*",
            "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
        },
        {
            "Sid": "AWSLogDeliveryAclCheck", "Effect": "Allow", "Principal": DELIVERY,
            "Action": "s3:GetBucketAcl", "Resource": f"arn:aws:s3:::{bucket}",
        },
    ]})


class FlowLogs(Accelerators, unittest.TestCase):
    """Flows through a lab's accelerators."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--regions", f"{VIRGINIA},{IRELAND}", "--delay-scale", "0",
                      "--health-interval", "200ms", "--flow-log-interval", "2s")
        cls.addClassCleanup(cls.lab.close)
        cls.host = "127.5.1.9"
        cls.port = free_port()
        cls.endpoint = Endpoint(cls.host, cls.port, "it", datagrams=True)
        cls.addClassCleanup(cls.endpoint.stop)

    def bucket(self, region, name, document=None):
        """A new bucket."""
        client = self.lab.client(region, "s3")
        elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}}

        def created():
            try:
                return client.create_bucket(Bucket=name, **(elsewhere if region != VIRGINIA else {}))
            except ClientError as error:
                # The council elects its leader just after a start.
                if error.response["Error"]["Code"] not in ("OperationAborted", "SlowDown",
                                                           "ServiceUnavailable", "Throttling"):
                    raise
                return None

        eventually(created)
        if document:
            client.put_bucket_policy(Bucket=name, Policy=document)
        return client

    def enable(self, accelerator, bucket, prefix="logs", **changes):
        answer = self.client().update_accelerator_attributes(**{
            "AcceleratorArn": accelerator["AcceleratorArn"], "FlowLogsEnabled": True,
            "FlowLogsS3Bucket": bucket, "FlowLogsS3Prefix": prefix, **changes,
        })
        return answer["AcceleratorAttributes"]

    def refused(self, *words, **changes):
        with self.assertRaises(ClientError) as raised:
            self.enable(*words, **changes)
        error = raised.exception.response["Error"]
        return error["Code"], error["Message"]

    def records(self, client, bucket, prefix="logs"):
        """All records that the bucket has, as mappings."""
        records = []
        for found in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            key = KEY.fullmatch(found["Key"])
            self.assertTrue(key, found["Key"])
            self.assertEqual(key[1], f"{prefix}/")
            self.assertTrue(key[6].startswith("".join(key.group(2, 3, 4))), found["Key"])
            body = client.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
            header, *lines = gzip.decompress(body).decode().splitlines()
            self.assertEqual(header, HEADER)
            for line in lines:
                fields = line.split(" ")
                self.assertEqual(len(fields), 23, line)
                record = dict(zip(HEADER.split(" "), fields))
                self.assertEqual(record["accelerator_id"], key[5])
                records.append(record)
        return records

    def serving(self):
        """An accelerator with a healthy endpoint, and a port of each protocol."""
        accelerator = self.accelerator()
        for protocol in ("TCP", "UDP"):
            listener = self.listener(accelerator, self.port, Protocol=protocol)
            group = self.group(listener, VIRGINIA, {self.host: 128})
            self.await_health(group, state="HEALTHY")
        return accelerator

    def converse(self, address, pieces):
        """A connection on which these are sent and come back; the client's port, and what it heard
        in all."""
        with socket.create_connection((address, self.port), 5) as link:
            port, heard = link.getsockname()[1], 0
            expected = len("it\n")
            for piece in pieces:
                link.sendall(piece)
                expected += len(piece)
                while heard < expected:
                    heard += len(link.recv(65536))
        return port, heard

    def exchange(self, address, datagrams):
        """The same by UDP: each is answered."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(5)
            link.connect((address, self.port))
            heard = 0
            for datagram in datagrams:
                link.send(datagram)
                heard += len(link.recv(65536))
            return link.getsockname()[1], heard

    def sums(self, records, port):
        """Packets and bytes of a client's flow, by direction."""
        sums = collections.defaultdict(lambda: [0, 0])
        for record in records:
            if record["client_port"] == str(port):
                sums[record["direction"]][0] += int(record["packets"])
                sums[record["direction"]][1] += int(record["bytes"])
        return dict(sums)

    def check(self, region, bucket):
        """What flows moved stands in the bucket."""
        client = self.bucket(region, bucket, policy(bucket, "logs"))
        accelerator = self.serving()
        on = self.enable(accelerator, bucket)
        self.assertEqual(on, {
            "FlowLogsEnabled": True, "FlowLogsS3Bucket": bucket, "FlowLogsS3Prefix": "logs",
        })
        self.assertEqual(self.attributes(accelerator), on)
        self.await_deployed(accelerator)
        address = addresses(accelerator)[0]
        pieces = [b"x" * 100, b"y" * 50_000, b"z"]
        port, heard = self.converse(address, pieces)
        datagrams = [b"d" * length for length in (1, 10, 100, 1000)]
        udp_port, udp_heard = self.exchange(address, datagrams)
        sent = sum(map(len, pieces))

        udp_sums = {
            "INGRESS": [len(datagrams), sum(map(len, datagrams))],
            "EGRESS": [len(datagrams), udp_heard],
        }

        def all_of_it():
            records = self.records(client, bucket)
            tcp = self.sums(records, port)
            moved = {way: moved for way, (_, moved) in tcp.items()}
            is_whole = moved == {"INGRESS": sent, "EGRESS": heard}
            return is_whole and self.sums(records, udp_port) == udp_sums and (records, tcp)

        records, tcp = eventually(all_of_it)
        for packets, _ in tcp.values():
            self.assertGreaterEqual(packets, len(pieces))
            self.assertLess(packets, 100)
        for record in records:
            self.assertEqual(record["aws_account_id"], ACCOUNT)
            self.assertTrue(accelerator["AcceleratorArn"].endswith(record["accelerator_id"]))
            self.assertEqual(record["accelerator_ip"], address)
            self.assertEqual(record["accelerator_port"], str(self.port))
            self.assertEqual(record["endpoint_ip"], self.host)
            self.assertEqual(record["endpoint_region"], VIRGINIA)
            self.assertEqual(record["globalaccelerator_region"], "edge-1")
            self.assertEqual((record["action"], record["log_status"]), ("ACCEPT", "OK"))
            self.assertLessEqual(int(record["start_time"]), int(record["end_time"]))
            self.assertLessEqual(int(record["end_time"]) - int(record["start_time"]), 10)
        protocols = {
            record["client_port"]: record["protocol"] for record in records
        }
        self.assertEqual((protocols[str(port)], protocols[str(udp_port)]), ("TCP", "UDP"))
        return accelerator, client

    def attributes(self, accelerator):
        answer = self.client().describe_accelerator_attributes(
            AcceleratorArn=accelerator["AcceleratorArn"])
        return answer["AcceleratorAttributes"]

    def test_what_flows_moved_stands_in_a_bucket_of_the_nearest_region(self):
        bucket = "flow-logs-near"
        accelerator, client = self.check(VIRGINIA, bucket)
        # Switched off, nothing more is written.
        off = self.enable(accelerator, bucket, FlowLogsEnabled=False)
        self.assertFalse(off["FlowLogsEnabled"])
        self.await_deployed(accelerator)
        port, _ = self.converse(addresses(accelerator)[0], [b"unseen"])
        # An accelerator whose flows are logged shows when it would have been there.
        other = self.serving_elsewhere(bucket)
        eventually(lambda: self.sums(self.records(client, bucket), other))
        self.assertEqual(self.sums(self.records(client, bucket), port), {})

    def serving_elsewhere(self, bucket):
        """A flow of another accelerator that logs there; the client's port."""
        accelerator = self.serving()
        self.enable(accelerator, bucket)
        self.await_deployed(accelerator)
        return self.converse(addresses(accelerator)[0], [b"seen"])[0]

    def test_a_bucket_may_be_in_another_region(self):
        self.check(IRELAND, "flow-logs-far")

    def test_a_long_flow_has_records_in_several_windows(self):
        bucket = "flow-logs-long"
        client = self.bucket(VIRGINIA, bucket, policy(bucket, "logs"))
        accelerator = self.serving()
        self.enable(accelerator, bucket)
        self.await_deployed(accelerator)
        address = addresses(accelerator)[0]
        with socket.create_connection((address, self.port), 5) as link:
            port = link.getsockname()[1]
            heard, sent = 0, 0

            def windows():
                nonlocal heard, sent
                link.sendall(b"tick")
                sent += 4
                heard += len(link.recv(65536))
                records = self.records(client, bucket)
                own = [it for it in records if it["client_port"] == str(port)]
                return len({it["start_time"] for it in own}) >= 3

            eventually(windows)
            while heard < sent + len("it\n"):
                heard += len(link.recv(65536))
        wanted = {"INGRESS": sent, "EGRESS": sent + len("it\n")}

        def whole():
            sums = self.sums(self.records(client, bucket), port)
            return {way: moved for way, (_, moved) in sums.items()} == wanted

        eventually(whole)
        own = [it for it in self.records(client, bucket) if it["client_port"] == str(port)]
        for way in wanted:
            spans = sorted(
                (int(it["start_time"]), int(it["end_time"])) for it in own if it["direction"] == way
            )
            for (_, end), (start, _) in zip(spans, spans[1:]):
                self.assertLessEqual(abs(start - end), 1, spans)

    def test_logs_are_enabled_only_where_they_can_be_delivered(self):
        accelerator = self.accelerator()
        self.assertEqual(self.attributes(accelerator), {"FlowLogsEnabled": False})
        code, message = self.refused(accelerator, "flow-logs-none")
        self.assertEqual(code, "InvalidArgumentException", message)
        for region, name in [(VIRGINIA, "flow-logs-shut"), (IRELAND, "flow-logs-shut-far")]:
            client = self.bucket(region, name)
            code, message = self.refused(accelerator, name)
            self.assertEqual(code, "AccessDeniedException", message)
            # Of another prefix.
            client.put_bucket_policy(Bucket=name, Policy=policy(name, "elsewhere"))
            self.assertEqual(self.refused(accelerator, name)[0], "AccessDeniedException")
            self.assertTrue(self.enable(accelerator, name, "elsewhere")["FlowLogsEnabled"])
        attributes = self.client().update_accelerator_attributes
        with self.assertRaises(ClientError) as raised:
            attributes(AcceleratorArn=self.accelerator()["AcceleratorArn"], FlowLogsEnabled=True)
        self.assertEqual(raised.exception.response["Error"]["Code"], "InvalidArgumentException")

    def test_what_a_bucket_takes_no_more_is_lost_and_said_to_be(self):
        bucket = "flow-logs-closed"
        client = self.bucket(VIRGINIA, bucket, policy(bucket, "logs"))
        accelerator = self.serving()
        self.enable(accelerator, bucket)
        self.await_deployed(accelerator)
        client.delete_bucket_policy(Bucket=bucket)
        address = addresses(accelerator)[0]
        self.converse(address, [b"lost"])

        def logs():
            [edge] = self.lab.json("flows")["edges"]
            return edge["flow_logs"]

        eventually(lambda: logs()["lost_records"] >= 2)
        eventually(lambda: "policy" in (logs()["trouble"] or ""))
        client.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, "logs"))
        self.converse(address, [b"kept"])

        def skipped():
            records = self.records(client, bucket)
            return [it for it in records if it["log_status"] == "SKIPDATA"]

        [first, *_] = eventually(skipped)
        self.assertEqual((first["client_ip"], first["packets"], first["action"]), ("-",) * 3)
        metrics = self.lab.run("metrics").stdout
        self.assertRegex(metrics, r'flow_log_lost_records_total\{edge="edge-1"\} [1-9]')


class LastWords(Accelerators, unittest.TestCase):
    """A lab whose edge gathers for five minutes, as AWS does, and ends before."""

    bucket, enable, records, sums = (
        FlowLogs.bucket, FlowLogs.enable, FlowLogs.records, FlowLogs.sums)
    serving, converse = FlowLogs.serving, FlowLogs.converse

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--regions", VIRGINIA, "--delay-scale", "0", "--health-interval", "200ms")
        cls.addClassCleanup(cls.lab.close)
        cls.host = "127.5.1.10"
        cls.port = free_port()
        cls.endpoint = Endpoint(cls.host, cls.port, "it", datagrams=True)
        cls.addClassCleanup(cls.endpoint.stop)

    def state(self):
        sites = self.lab.json("status")["sites"]
        return next(site["state"] for site in sites if site["site"] == "edge-1")

    def test_an_edge_that_drains_before_it_ends_hands_over_what_it_has(self):
        bucket = "flow-logs-last"
        client = self.bucket(VIRGINIA, bucket, policy(bucket, "logs"))
        accelerator = self.serving()
        self.enable(accelerator, bucket)
        self.await_deployed(accelerator)
        address = addresses(accelerator)[0]
        ended, _ = self.converse(address, [b"1", b"22"])
        with socket.create_connection((address, self.port), 5) as link:
            lasting = link.getsockname()[1]
            self.assertEqual(link.recv(64), b"it\n")
            os.kill(self.lab.processes()["edge-1"], signal.SIGTERM)
            eventually(lambda: self.state() == "draining")
            self.assertEqual(self.records(client, bucket), [], "nothing is due yet")
            link.sendall(b"4444")
            self.assertEqual(link.recv(64), b"4444")
        eventually(lambda: self.state() == "stopped")
        records = self.records(client, bucket)
        for port, sent in ((ended, 3), (lasting, 4)):
            sums = self.sums(records, port)
            moved = {way: moved for way, (_, moved) in sums.items()}
            self.assertEqual(moved, {"INGRESS": sent, "EGRESS": sent + len("it\n")})


if __name__ == "__main__":
    unittest.main()
