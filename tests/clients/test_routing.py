"""Names by real clients: the stock command of the `aws` command line, boto3 and `dig`, from a zone
made to a dead Region steered around and back."""

import collections
import http.server
import tempfile
import threading
import unittest
import uuid

import dns.flags
import dns.rcode
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError
from lab import Lab, eventually, free_port
from names import ask, dig, exchange, in_error, place, resolve, values

VIRGINIA, IRELAND, SINGAPORE = "us-east-1", "eu-west-1", "ap-southeast-1"

# An application that says no more than that its Region is alive, from an empty folder.
ALIVE = 'exec python3 -m http.server --bind "$HOST" "$PORT" --directory "%s"'

# Asks for `a.` in no zone.
ONE_QUESTION = b"\0\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1"


def change(action, name, kind="A", values=("192.0.2.1",), ttl=60, **more):
    """One change of a record set with values."""
    records = [{"Value": value} for value in values]
    record = {"Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": records, **more}
    return {"Action": action, "ResourceRecordSet": record}


def alias(action, name, zone, target, kind="A", evaluate=True, **more):
    """One change of an alias."""
    target = {"HostedZoneId": zone, "DNSName": target, "EvaluateTargetHealth": evaluate}
    record = {"Name": name, "Type": kind, "AliasTarget": target, **more}
    return {"Action": action, "ResourceRecordSet": record}


class Endpoint:
    """Something to be probed: answers 200 with a text until it is stopped."""

    def __init__(self, text=b"all is well"):
        class Answer(http.server.BaseHTTPRequestHandler):
            """Answers every GET."""

            def do_GET(self):
                """The service's name for it."""
                self.send_response(200)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *words):
                """Says nothing."""

        self.answer = Answer
        self.port = free_port()
        self.server = None
        self.start()

    def start(self):
        """Begins to answer."""
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self.answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        """Refuses connections from now on."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


class CommandLine(unittest.TestCase):
    """The stock command, `dig`, and an application that dies with its Region."""

    @classmethod
    def setUpClass(cls):
        cls.app_port = free_port()
        empty = tempfile.TemporaryDirectory(prefix="causeway-alive-")
        cls.addClassCleanup(empty.cleanup)
        cls.lab = Lab(
            "--regions", f"{VIRGINIA},{IRELAND}", "--delay-scale", "0",
            "--health-interval", "200ms", "--app", ALIVE % empty.name,
            "--app-port", str(cls.app_port),
        )
        cls.addClassCleanup(cls.lab.close)
        cls.server = ("127.0.0.1", cls.lab.dns_port)

    def route53(self, *words, check=True):
        return self.lab.aws(VIRGINIA, "route53", *words, check=check)

    def test_primary_then_secondary_then_primary_again(self):
        made = self.route53(
            "create-hosted-zone", "--name", "example.com", "--caller-reference", "stock"
        )
        zone = made["HostedZone"]["Id"].removeprefix("/hostedzone/")
        self.assertRegex(zone, "^Z[A-Z0-9]{1,31}$")
        self.assertEqual(made["ChangeInfo"]["Status"], "PENDING")
        check = self.route53(
            "create-health-check", "--caller-reference", "stock", "--health-check-config",
            f"IPAddress=127.1.1.1,Port={self.app_port},Type=HTTP,ResourcePath=/,"
            "RequestInterval=10,FailureThreshold=3",
        )["HealthCheck"]["Id"]
        batch = """{"Changes":[
            {"Action":"CREATE","ResourceRecordSet":{"Name":"app.example.com","Type":"A",
             "SetIdentifier":"primary-use1","Failover":"PRIMARY","TTL":60,
             "ResourceRecords":[{"Value":"127.1.1.1"}],"HealthCheckId":"%s"}},
            {"Action":"CREATE","ResourceRecordSet":{"Name":"app.example.com","Type":"A",
             "SetIdentifier":"secondary-euw1","Failover":"SECONDARY","TTL":60,
             "ResourceRecords":[{"Value":"127.1.2.1"}]}}]}""" % check
        answer = self.route53(
            "change-resource-record-sets", "--hosted-zone-id", zone, "--change-batch", batch
        )["ChangeInfo"]
        self.assertEqual(answer["Status"], "PENDING")
        self.assertRegex(answer["SubmittedAt"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d")
        self.assertRegex(answer["Id"], "^/change/C[A-Z0-9]+$")
        insync = lambda: self.route53("get-change", "--id", answer["Id"])["ChangeInfo"]
        eventually(lambda: insync()["Status"] == "INSYNC")
        self.route53("wait", "resource-record-sets-changed", "--id", answer["Id"])

        ask_dig = lambda: dig(self.server, "app.example.com", "A")
        self.assertEqual(ask_dig(), ["127.1.1.1"])
        self.lab.run("fault", "kill", VIRGINIA)
        eventually(lambda: ask_dig() == ["127.1.2.1"], 10)
        self.lab.run("fault", "heal")
        eventually(lambda: ask_dig() == ["127.1.1.1"], 30)

        refused = self.route53(
            "change-resource-record-sets", "--hosted-zone-id", zone, "--change-batch", batch,
            check=False,
        )
        self.assertNotEqual(refused.returncode, 0, refused)
        self.assertIn(
            "An error occurred (InvalidChangeBatch) when calling the ChangeResourceRecordSets "
            "operation: [Tried to create resource record set [name='app.example.com.', "
            "type='A', set-identifier='primary-use1'] but it already exists",
            refused.stderr,
        )


class Sdk(unittest.TestCase):
    """boto3 against the API; answers by an independent codec."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0", "--health-interval", "200ms")
        cls.addClassCleanup(cls.lab.close)
        cls.server = ("127.0.0.1", cls.lab.dns_port)
        cls.route53 = cls.lab.route53(VIRGINIA)

    def zone(self, name):
        """A new zone of that name, served."""
        made = self.route53.create_hosted_zone(Name=name, CallerReference=str(uuid.uuid4()))
        self.wait(made)
        return made["HostedZone"]["Id"].removeprefix("/hostedzone/")

    def change(self, zone, *changes):
        """Changes records and waits until every server answers by them."""
        made = self.submit(zone, *changes)
        self.assertEqual(made["ChangeInfo"]["Status"], "PENDING")
        self.wait(made)

    def submit(self, zone, *changes):
        batch = {"Changes": list(changes)}
        return self.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

    def wait(self, made, client=None):
        """The SDK's own waiter, at a pace for tests."""
        waiter = (client or self.route53).get_waiter("resource_record_sets_changed")
        settings = {"Delay": 0.05, "MaxAttempts": 400}
        waiter.wait(Id=made["ChangeInfo"]["Id"], WaiterConfig=settings)

    def refused(self, call, **arguments):
        with self.assertRaises(ClientError) as raised:
            call(**arguments)
        return raised.exception.response

    def error(self, call, **arguments):
        return self.refused(call, **arguments)["Error"]["Code"]

    def resolve(self, name, kind="A", **changes):
        return resolve(self.server, name, kind, **changes)

    def records(self, zone):
        pages = self.route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
        return [record for page in pages for record in page["ResourceRecordSets"]]

    def check(self, **config):
        """A new health check of the loopback address; its id."""
        config = {"IPAddress": "127.0.0.1", "RequestInterval": 10, "FailureThreshold": 3, **config}
        made = self.route53.create_health_check(
            CallerReference=str(uuid.uuid4()), HealthCheckConfig=config
        )
        self.addCleanup(self.route53.delete_health_check, HealthCheckId=made["HealthCheck"]["Id"])
        return made["HealthCheck"]["Id"]

    def statuses(self, check):
        answer = self.route53.get_health_check_status(HealthCheckId=check)
        return [seen["StatusReport"]["Status"] for seen in answer["HealthCheckObservations"]]

    def test_a_zones_life(self):
        route53 = self.route53
        before = route53.get_hosted_zone_count()["HostedZoneCount"]
        made = route53.create_hosted_zone(
            Name="Life.Example", CallerReference="life", HostedZoneConfig={"Comment": "a <b> & c"}
        )
        zone = made["HostedZone"]["Id"]
        self.assertTrue(made["ResponseMetadata"]["HTTPHeaders"]["location"].endswith(zone))
        self.assertEqual(made["HostedZone"]["Name"], "life.example.")
        self.assertEqual(made["HostedZone"]["ResourceRecordSetCount"], 2)
        servers = made["DelegationSet"]["NameServers"]
        tlds = sorted(server.split(".", 2)[2] for server in servers)
        self.assertEqual(tlds, ["co.uk", "com", "net", "org"])
        self.assertTrue(all(server.startswith("ns-") for server in servers), servers)
        self.wait(made)
        self.assertEqual(self.resolve("life.example", "NS"), sorted(f"{s}." for s in servers))
        self.assertRegex(
            self.resolve("life.example", "SOA")[0],
            r"^ns-\S+ awsdns-hostmaster\.amazon\.com\. 1 7200 900 1209600 86400$",
        )
        again = dict(Name="life.example", CallerReference="life")
        self.assertEqual(self.error(route53.create_hosted_zone, **again), "HostedZoneAlreadyExists")
        got = route53.get_hosted_zone(Id=zone)
        self.assertEqual(got["HostedZone"]["Config"]["Comment"], "a <b> & c")
        self.assertEqual(got["DelegationSet"]["NameServers"], servers)
        by_name = route53.list_hosted_zones_by_name(DNSName="life.example")
        self.assertEqual(by_name["HostedZones"][0]["Id"], zone)
        self.assertIn(zone, [listed["Id"] for listed in route53.list_hosted_zones()["HostedZones"]])
        self.assertEqual(route53.get_hosted_zone_count()["HostedZoneCount"], before + 1)

        resource = dict(ResourceType="hostedzone", ResourceId=zone.removeprefix("/hostedzone/"))
        route53.change_tags_for_resource(**resource, AddTags=[{"Key": "owner", "Value": "tests"}])
        tags = route53.list_tags_for_resource(**resource)["ResourceTagSet"]["Tags"]
        self.assertEqual(tags, [{"Key": "owner", "Value": "tests"}])
        route53.change_tags_for_resource(**resource, RemoveTagKeys=["owner"])
        self.assertEqual(route53.list_tags_for_resource(**resource)["ResourceTagSet"]["Tags"], [])

        self.change(zone, change("CREATE", "www.life.example"))
        self.assertEqual(self.error(route53.delete_hosted_zone, Id=zone), "HostedZoneNotEmpty")
        self.change(zone, change("DELETE", "www.life.example"))
        self.wait(route53.delete_hosted_zone(Id=zone))
        self.assertEqual(self.error(route53.get_hosted_zone, Id=zone), "NoSuchHostedZone")
        answer = ask(self.server, "life.example", "SOA")
        self.assertEqual(answer.rcode(), dns.rcode.REFUSED)

    def test_records_of_every_kind(self):
        zone = self.zone("kinds.example")
        wanted = {
            "A": ["192.0.2.1", "192.0.2.2"],
            "AAAA": ["2001:db8::1"],
            "CAA": ['0 issue "ca.example"'],
            "CNAME": ["a.kinds.example."],
            "MX": ["10 mail.kinds.example."],
            "NS": ["ns1.elsewhere.example."],
            "PTR": ["host.kinds.example."],
            "SRV": ["1 2 443 srv.kinds.example."],
            "TXT": ['"one" "two \\"quoted\\""', '"%s"' % ("x" * 255)],
        }
        for kind, texts in wanted.items():
            self.change(zone, change("UPSERT", f"{kind}.kinds.example", kind, texts, 77))
        for kind, texts in wanted.items():
            answer = ask(self.server, f"{kind}.kinds.example", kind, payload=4096)
            if kind == "NS":
                # A delegation: the answer is a referral.
                self.assertFalse(answer.flags & dns.flags.AA)
                found = [v.to_text() for records in answer.authority for v in records]
                self.assertEqual(found, texts)
                continue
            self.assertTrue(answer.flags & dns.flags.AA, kind)
            self.assertEqual(values(answer), sorted(texts))
            self.assertEqual(answer.answer[0].ttl, 77)
        listed = {record["Type"]: record for record in self.records(zone)[2:]}
        for kind, texts in wanted.items():
            self.assertEqual(listed[kind]["Name"], f"{kind.lower()}.kinds.example.")
            found = [value["Value"] for value in listed[kind]["ResourceRecords"]]
            self.assertEqual(sorted(found), sorted(texts))

    def test_answers_without_data(self):
        zone = self.zone("empty.example")
        self.change(
            zone, change("CREATE", "a.b.empty.example"), change("CREATE", "*.w.empty.example")
        )
        for name, kind, code in (
            ("nowhere.empty.example", "A", dns.rcode.NXDOMAIN),
            ("b.empty.example", "A", dns.rcode.NOERROR),
            ("a.b.empty.example", "AAAA", dns.rcode.NOERROR),
            ("w.empty.example", "A", dns.rcode.NOERROR),
        ):
            answer = ask(self.server, name, kind)
            self.assertEqual((name, answer.rcode()), (name, code))
            self.assertEqual(answer.answer, [])
            self.assertEqual([r.rdtype for r in answer.authority], [dns.rdatatype.SOA], name)
        self.assertEqual(self.resolve("x.y.w.empty.example"), ["192.0.2.1"])
        answer = ask(self.server, "MiXeD.w.EmPtY.example")
        self.assertEqual(answer.answer[0].name.to_text(), "MiXeD.w.EmPtY.example.")
        self.assertEqual(ask(self.server, "other.example").rcode(), dns.rcode.REFUSED)

    def test_a_large_answer_goes_over_tcp(self):
        zone = self.zone("large.example")
        texts = ['"%s"' % (f"{number:03}" * 60) for number in range(40)]
        self.change(zone, change("CREATE", "t.large.example", "TXT", texts))
        for payload in (0, 512, 1232, 4096):
            answer = ask(self.server, "t.large.example", "TXT", payload=payload)
            self.assertTrue(answer.flags & dns.flags.TC, payload)
        self.assertEqual(self.resolve("t.large.example", "TXT", tcp=True), sorted(texts))
        self.assertEqual(len(dig(self.server, "t.large.example", "TXT")), 40)

    def test_listing_goes_by_pages_in_reversed_order(self):
        zone = self.zone("pages.example")
        names = [f"n{number:03}.pages.example" for number in range(350)]
        self.change(zone, *(change("CREATE", name) for name in names))
        more = ("*.pages.example", "a.n1.pages.example")
        self.change(zone, *(change("CREATE", name) for name in more))
        first = self.route53.list_resource_record_sets(HostedZoneId=zone)
        self.assertEqual(len(first["ResourceRecordSets"]), 300)
        self.assertTrue(first["IsTruncated"])
        listed = [record["Name"] for record in self.records(zone)]
        self.assertEqual(len(listed), 354)
        self.assertEqual(listed[:3], ["pages.example.", "pages.example.", "\\052.pages.example."])
        self.assertEqual(listed, sorted(listed, key=lambda name: name.split(".")[::-1]))
        some = self.route53.list_resource_record_sets(
            HostedZoneId=zone, StartRecordName="n340.pages.example", MaxItems="5"
        )
        found = [record["Name"] for record in some["ResourceRecordSets"]]
        self.assertEqual(found, [f"n{number}.pages.example." for number in range(340, 345)])
        self.assertEqual(some["NextRecordName"], "n345.pages.example.")

    def test_a_batch_that_breaks_a_rule_changes_nothing_and_says_why(self):
        zone = self.zone("rules.example")
        weighted = lambda name, which: change(
            "CREATE", name, SetIdentifier=which, Weight=1
        )
        self.change(
            zone,
            change("CREATE", "a.rules.example"),
            change("CREATE", "c.rules.example", "CNAME", ["a.rules.example"]),
            weighted("w.rules.example", "one"),
        )
        before = self.records(zone)
        cname = "RRSet of type CNAME with DNS name"
        for changes, message in (
            ([change("CREATE", "a.rules.example")],
             "[Tried to create resource record set [name='a.rules.example.', type='A'] "
             "but it already exists]"),
            ([change("DELETE", "b.rules.example")],
             "[Tried to delete resource record set [name='b.rules.example.', type='A'] "
             "but it was not found]"),
            ([change("DELETE", "a.rules.example", ttl=61)],
             "[Tried to delete resource record set [name='a.rules.example.', type='A'] "
             "but the values provided do not match the current values]"),
            ([change("CREATE", "a.rules.example", "CNAME", ["b.example"])],
             f"[{cname} a.rules.example. is not permitted as it conflicts with other records "
             "with the same DNS name in zone rules.example.]"),
            ([change("CREATE", "c.rules.example")],
             "[RRSet of type A with DNS name c.rules.example. is not permitted because a "
             "conflicting RRSet of type * CNAME with the same DNS name already exists in zone "
             "rules.example.]"),
            ([change("CREATE", "rules.example", "CNAME", ["b.example"])],
             f"[{cname} rules.example. is not permitted at apex in zone rules.example."),
            ([change("CREATE", "a.other.example")],
             "[RRSet with DNS name a.other.example. is not permitted in zone rules.example.]"),
            ([alias("CREATE", "l.rules.example", zone, "nowhere.rules.example")],
             "[Tried to create an alias that targets nowhere.rules.example., type A in zone "
             f"{zone}, but that target was not found]"),
            ([change("CREATE", "w.rules.example")],
             "[RRSet with DNS name w.rules.example., type A cannot be created as other RRSets "
             "exist with the same name and type.]"),
            ([change("CREATE", "w.rules.example", SetIdentifier="l", Region=IRELAND)],
             "[RRSet with DNS name w.rules.example., type A, SetIdentifier l cannot be created "
             "as a non-latency set exists with the same name and type.]"),
            ([change("CREATE", "v.rules.example", values=["1.2.3"])],
             "[Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not "
             "a valid IPv4 address) encountered with '1.2.3'']"),
            ([change("CREATE", "v.rules.example", "AAAA", ["1.2.3.4"])],
             "[Invalid Resource Record: 'FATAL problem: AAAARRDATAIllegalIPv6Address (Value is "
             "not a valid IPv6 address) encountered with '1.2.3.4'']"),
            ([change("CREATE", "v.rules.example", "TXT", ["bare"])],
             "[Invalid Resource Record: 'FATAL problem: InvalidCharacterString (Value should be "
             "enclosed in quotation marks) encountered with 'bare'']"),
            ([change("CREATE", "v.rules.example", "TXT", ['"%s"' % ("x" * 256)])],
             "CharacterStringTooLong (Value is too long)"),
            ([change("CREATE", "ok.rules.example"), change("CREATE", "a.rules.example"),
              change("DELETE", "b.rules.example")],
             "[Tried to create resource record set [name='a.rules.example.', type='A'] but it "
             "already exists, Tried to delete resource record set [name='b.rules.example.', "
             "type='A'] but it was not found]"),
            ([change("DELETE", "a.rules.example"), change("DELETE", "a.rules.example")],
             "[name='a.rules.example.', type='A'] but it was not found]"),
        ):
            with self.subTest(message=message):
                refused = self.refused(
                    self.route53.change_resource_record_sets,
                    HostedZoneId=zone, ChangeBatch={"Changes": changes},
                )
                self.assertEqual(refused["ResponseMetadata"]["HTTPStatusCode"], 400)
                self.assertEqual(refused["Error"]["Code"], "InvalidChangeBatch")
                self.assertTrue(in_error(refused["Error"]["Message"], message), refused["Error"])
        self.assertEqual(self.records(zone), before)
        self.change(
            zone, change("DELETE", "a.rules.example"),
            change("CREATE", "a.rules.example", values=["192.0.2.9"]),
        )
        self.assertEqual(self.resolve("a.rules.example"), ["192.0.2.9"])

    def test_sizes_of_a_batch(self):
        zone = self.zone("sizes.example")
        many = [
            change("CREATE", f"n{number}.sizes.example", values=[f"192.0.2.{number}"] * 1)
            for number in range(200)
        ]
        self.change(zone, *many)
        self.assertEqual(self.resolve("n199.sizes.example"), ["192.0.2.199"])
        values = [f"10.{number >> 8}.{number & 255}.1" for number in range(334)]
        sets = [change("CREATE", f"m{number}.sizes.example", values=values) for number in range(3)]
        refused = self.refused(
            self.route53.change_resource_record_sets,
            HostedZoneId=zone, ChangeBatch={"Changes": sets},
        )
        self.assertEqual(refused["Error"]["Code"], "InvalidChangeBatch")
        self.assertIn("Number of records limit of 1000 exceeded.", refused["Error"]["Message"])

    def test_weights_are_shares(self):
        zone = self.zone("weights.example")
        weight = lambda which, weight: change(
            "CREATE", "w.weights.example", values=[f"192.0.2.{which}"], ttl=5,
            SetIdentifier=str(which), Weight=weight,
        )
        self.change(zone, weight(1, 3), weight(2, 1), weight(3, 0))
        found = collections.Counter(self.resolve("w.weights.example")[0] for _ in range(800))
        self.assertEqual(set(found), {"192.0.2.1", "192.0.2.2"})
        # Three quarters of 800 within five standard deviations: it fails once in a million runs.
        self.assertTrue(539 <= found["192.0.2.1"] <= 661, found)

    def test_multivalue_answers_are_eight_at_random(self):
        zone = self.zone("many.example")
        addresses = [f"192.0.2.{number}" for number in range(1, 13)]
        self.change(zone, *(
            change("CREATE", "m.many.example", values=[address], SetIdentifier=address,
                   MultiValueAnswer=True)
            for address in addresses
        ))
        seen = set()
        for _ in range(60):
            found = self.resolve("m.many.example")
            self.assertEqual((len(found), len(set(found))), (8, 8), found)
            seen.update(found)
        self.assertEqual(seen, set(addresses))

    def test_the_nearest_region_answers_by_place_and_client_subnet(self):
        zone = self.zone("near.example")
        nearest = lambda region, address: change(
            "CREATE", "n.near.example", values=[address], SetIdentifier=region, Region=region
        )
        self.change(
            zone, nearest(VIRGINIA, "192.0.2.1"), nearest(IRELAND, "192.0.2.2"),
            nearest(SINGAPORE, "192.0.2.3"),
        )
        for where, address in (
            ("us-east-1", "192.0.2.1"), ("sa-east-1", "192.0.2.1"), ("us-west-2", "192.0.2.1"),
            ("eu-west-1", "192.0.2.2"), ("eu-central-1", "192.0.2.2"),
            ("ap-southeast-1", "192.0.2.3"), ("ap-northeast-1", "192.0.2.3"),
        ):
            self.assertEqual(
                dig(self.server, "n.near.example", source=place(where)), [address], where
            )
            subnet = place(where, 0) + "/24"
            answer = ask(self.server, "n.near.example", subnet=subnet)
            self.assertEqual(values(answer), [address], subnet)
            echoed = answer.options[0]
            self.assertEqual((echoed.address, echoed.srclen), (place(where, 0), 24))
            self.assertGreater(echoed.scopelen, 0)
        # The client's subnet counts, not the resolver's place.
        subnet = place("eu-west-1", 0) + "/24"
        found = self.resolve("n.near.example", source=place("us-east-1"), subnet=subnet)
        self.assertEqual(found, ["192.0.2.2"])
        tested = self.route53.test_dns_answer(
            HostedZoneId=zone, RecordName="n.near.example", RecordType="A",
            EDNS0ClientSubnetIP=place("eu-central-1"), EDNS0ClientSubnetMask="24",
        )
        self.assertEqual(tested["RecordData"], ["192.0.2.2"])
        self.assertEqual((tested["ResponseCode"], tested["Protocol"]), ("NOERROR", "UDP"))
        tested = self.route53.test_dns_answer(
            HostedZoneId=zone, RecordName="nowhere.near.example", RecordType="A",
            ResolverIP=place("us-east-1"),
        )
        self.assertEqual((tested["ResponseCode"], tested["RecordData"]), ("NXDOMAIN", []))

    def test_users_of_a_place_get_its_answer(self):
        zone = self.zone("geo.example")
        geo = lambda address, **location: change(
            "CREATE", "g.geo.example", values=[address], SetIdentifier=address,
            GeoLocation=location,
        )
        places = {
            "us-west-2": "192.0.2.4", "us-east-1": "192.0.2.3", "eu-central-1": "192.0.2.2",
            "eu-west-1": "192.0.2.1", "sa-east-1": "192.0.2.5",
        }
        self.change(
            zone, geo("192.0.2.1", ContinentCode="EU"), geo("192.0.2.2", CountryCode="DE"),
            geo("192.0.2.3", CountryCode="US"),
            geo("192.0.2.4", CountryCode="US", SubdivisionCode="OR"),
            geo("192.0.2.5", CountryCode="*"),
        )
        for where, address in places.items():
            found = dig(self.server, "g.geo.example", source=place(where))
            self.assertEqual((where, found), (where, [address]))
        self.change(
            zone,
            change("DELETE", "g.geo.example", values=["192.0.2.5"], SetIdentifier="192.0.2.5",
                   GeoLocation={"CountryCode": "*"}),
        )
        answer = ask(self.server, "g.geo.example", source=place("sa-east-1"))
        self.assertEqual((answer.rcode(), answer.answer), (dns.rcode.NOERROR, []))
        self.assertEqual(answer.authority[0].rdtype, dns.rdatatype.SOA)
        mixed = self.refused(
            self.route53.change_resource_record_sets, HostedZoneId=zone, ChangeBatch={
                "Changes": [geo("192.0.2.6", ContinentCode="EU", CountryCode="FR")]
            },
        )
        self.assertEqual(mixed["Error"]["Code"], "InvalidInput")
        listed, start = [], {}
        while start is not None:
            page = self.route53.list_geo_locations(**start)
            listed += page["GeoLocationDetailsList"]
            start = {
                f"Start{key.removeprefix('Next')}": page[key] for key in page if key[:4] == "Next"
            } or None
        self.assertIn({"ContinentCode": "EU", "ContinentName": "Europe"}, listed)
        self.assertTrue(any(row.get("SubdivisionCode") == "OR" for row in listed))
        ireland = self.route53.get_geo_location(CountryCode="IE")["GeoLocationDetails"]
        self.assertEqual(ireland["CountryName"], "Ireland")

    def test_aliases_follow_their_target_and_its_health(self):
        zone = self.zone("alias.example")
        endpoint = Endpoint()
        self.addCleanup(endpoint.stop)
        check = self.check(Type="HTTP", Port=endpoint.port, ResourcePath="/")
        leaf = lambda name, address, **more: change(
            "CREATE", name, values=[address], ttl=33, **more
        )
        self.change(
            zone,
            leaf("east.alias.example", "192.0.2.1", SetIdentifier="a", Weight=1,
                 HealthCheckId=check),
            leaf("west.alias.example", "192.0.2.2"),
            leaf("plain.alias.example", "192.0.2.3"),
            alias("CREATE", "alias.example", zone, "plain.alias.example"),
            alias("CREATE", "top.alias.example", zone, "east.alias.example",
                  SetIdentifier="p", Failover="PRIMARY"),
            alias("CREATE", "top.alias.example", zone, "west.alias.example",
                  SetIdentifier="s", Failover="SECONDARY"),
        )
        answer = ask(self.server, "alias.example")
        self.assertEqual((values(answer), answer.answer[0].ttl), (["192.0.2.3"], 33))
        self.assertEqual(answer.answer[0].name.to_text(), "alias.example.")
        self.assertEqual(self.resolve("top.alias.example"), ["192.0.2.1"])
        endpoint.stop()
        eventually(lambda: self.resolve("top.alias.example") == ["192.0.2.2"], 10)
        endpoint.start()
        eventually(lambda: self.resolve("top.alias.example") == ["192.0.2.1"], 10)
        self.change(zone, change("DELETE", "plain.alias.example", values=["192.0.2.3"], ttl=33))
        answer = ask(self.server, "alias.example")
        self.assertEqual((answer.rcode(), answer.answer), (dns.rcode.NOERROR, []))

    def test_a_health_checks_life(self):
        endpoint = Endpoint(b"the word is spoken")
        self.addCleanup(endpoint.stop)
        config = {
            "IPAddress": "127.0.0.1", "Port": endpoint.port, "Type": "HTTP_STR_MATCH",
            "ResourcePath": "/", "SearchString": "word", "RequestInterval": 10,
            "FailureThreshold": 2,
        }
        reference = str(uuid.uuid4())
        made = self.route53.create_health_check(CallerReference=reference, HealthCheckConfig=config)
        check = made["HealthCheck"]["Id"]
        self.assertEqual(made["HealthCheck"]["HealthCheckVersion"], 1)
        again = self.route53.create_health_check(
            CallerReference=reference, HealthCheckConfig=config
        )
        self.assertEqual(again["HealthCheck"]["Id"], check)
        self.assertEqual(
            self.error(self.route53.create_health_check, CallerReference=reference,
                       HealthCheckConfig={**config, "FailureThreshold": 3}),
            "HealthCheckAlreadyExists",
        )
        good = lambda: self.statuses(check)
        eventually(lambda: good() and all(s.startswith("Success") for s in good()), 10)
        changed = self.route53.update_health_check(
            HealthCheckId=check, HealthCheckVersion=1, SearchString="absent"
        )["HealthCheck"]
        self.assertEqual(changed["HealthCheckVersion"], 2)
        self.assertEqual(
            self.error(self.route53.update_health_check, HealthCheckId=check,
                       HealthCheckVersion=1, FailureThreshold=3),
            "HealthCheckVersionMismatch",
        )
        eventually(lambda: good() and all(s.startswith("Failure") for s in good()), 10)
        why = self.route53.get_health_check_last_failure_reason(HealthCheckId=check)
        reasons = [seen["StatusReport"]["Status"] for seen in why["HealthCheckObservations"]]
        self.assertTrue(reasons and all(r.startswith("Failure") for r in reasons), reasons)
        listed = self.route53.list_health_checks()["HealthChecks"]
        self.assertIn(check, [each["Id"] for each in listed])
        self.route53.delete_health_check(HealthCheckId=check)
        self.assertEqual(
            self.error(self.route53.get_health_check, HealthCheckId=check), "NoSuchHealthCheck"
        )
        self.assertEqual(
            self.error(self.route53.create_health_check, CallerReference=reference,
                       HealthCheckConfig=config),
            "HealthCheckAlreadyExists",
        )

    def test_health_checks_look_only_where_they_may(self):
        create = self.route53.create_health_check
        tcp = {"Type": "TCP", "Port": 80}
        for config, code in (
            ({**tcp, "IPAddress": "10.0.0.1"}, "InvalidInput"),
            ({**tcp, "IPAddress": "169.254.169.254"}, "InvalidInput"),
            ({**tcp, "IPAddress": "127.0.0.1", "RequestInterval": 20}, "InvalidInput"),
            ({**tcp, "IPAddress": "127.0.0.1", "FailureThreshold": 11}, "InvalidInput"),
            ({"Type": "TCP", "IPAddress": "127.0.0.1"}, "InvalidInput"),
        ):
            reference = str(uuid.uuid4())
            found = self.error(create, CallerReference=reference, HealthCheckConfig=config)
            self.assertEqual((config, found), (config, code))
        for config in (
            {"Type": "CALCULATED", "ChildHealthChecks": [], "HealthThreshold": 1},
            {"Type": "RECOVERY_CONTROL"},
        ):
            refused = self.refused(
                create, CallerReference=str(uuid.uuid4()), HealthCheckConfig=config
            )
            self.assertIn(config["Type"], refused["Error"]["Message"])

    def test_inverted_and_disabled_checks(self):
        zone = self.zone("turned.example")
        closed = free_port()
        inverted = self.check(Type="TCP", Port=closed, Inverted=True)
        disabled = self.check(Type="TCP", Port=closed, Disabled=True)
        failing = self.check(Type="TCP", Port=closed)
        pair = lambda name, check: [
            change("CREATE", name, values=["192.0.2.1"], SetIdentifier="p", Failover="PRIMARY",
                   HealthCheckId=check),
            change("CREATE", name, values=["192.0.2.2"], SetIdentifier="s", Failover="SECONDARY"),
        ]
        self.change(
            zone, *pair("i.turned.example", inverted), *pair("d.turned.example", disabled),
            *pair("f.turned.example", failing),
        )
        eventually(lambda: self.resolve("f.turned.example") == ["192.0.2.2"], 10)
        eventually(lambda: self.resolve("i.turned.example") == ["192.0.2.1"], 10)
        self.assertEqual(self.resolve("d.turned.example"), ["192.0.2.1"])

    def test_what_is_not_built_says_so_by_name(self):
        for call, arguments in (
            (self.route53.list_traffic_policies, {}),
            (self.route53.list_cidr_collections, {}),
            (self.route53.list_reusable_delegation_sets, {}),
        ):
            refused = self.refused(call, **arguments)
            self.assertIn("not built yet in Causeway", refused["Error"]["Message"])
        zone = self.zone("later.example")
        for record in (
            change("CREATE", "d.later.example", "HTTPS", ["1 ."]),
            change("CREATE", "d.later.example", SetIdentifier="x",
                   GeoProximityLocation={"AWSRegion": VIRGINIA}),
        ):
            refused = self.refused(
                self.route53.change_resource_record_sets,
                HostedZoneId=zone, ChangeBatch={"Changes": [record]},
            )
            words = refused["Error"]["Message"]
            self.assertTrue("not built" in words or "not implemented" in words, words)

    def test_any_region_takes_a_change_and_every_address_answers_by_it(self):
        zone = self.zone("any.example")
        for region in (VIRGINIA, IRELAND, SINGAPORE):
            # Signed for the Region that it works in, as SDKs with an endpoint of their own do.
            host, port = self.lab.address(region)
            client = self.lab.client(region, "route53", endpoint_url=f"http://{host}:{port}")
            # It may hear of the zone a moment later than the Region that made it.
            eventually(lambda: zone in str(client.list_hosted_zones()["HostedZones"]))
            upsert = change("UPSERT", "a.any.example", "TXT", [f'"{region}"'])
            made = client.change_resource_record_sets(
                HostedZoneId=zone, ChangeBatch={"Changes": [upsert]}
            )
            self.wait(made, client)
            self.assertEqual(self.resolve("a.any.example", "TXT"), [f'"{region}"'])

    def test_explain_shows_the_steps(self):
        zone = self.zone("why.example")
        self.change(
            zone,
            change("CREATE", "w.why.example", values=["192.0.2.1"], SetIdentifier="virginia",
                   Region=VIRGINIA),
            change("CREATE", "w.why.example", values=["192.0.2.2"], SetIdentifier="ireland",
                   Region=IRELAND),
        )
        shown = self.lab.run("explain", "w.why.example", "--from", "eu-central-1").stdout
        for words in ("zone why.example.", "latency", "chosen: ireland", "A 192.0.2.2", "edge-1"):
            self.assertIn(words, shown)
        shown = self.lab.json("explain", "w.why.example", "--from", place("sa-east-1"))
        self.assertIn("192.0.2.1", str(shown))


class Faults(unittest.TestCase):
    """What goes on being answered when parts of the lab are gone."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0", "--regions", f"{VIRGINIA},{IRELAND}", "--edges", "2")
        cls.addClassCleanup(cls.lab.close)
        cls.server = ("127.0.0.1", cls.lab.dns_port)
        cls.route53 = cls.lab.route53(VIRGINIA)
        made = cls.route53.create_hosted_zone(Name="stays.example", CallerReference="stays")
        cls.zone = made["HostedZone"]["Id"]

    def tearDown(self):
        self.lab.run("fault", "heal")
        eventually(lambda: self.upsert("192.0.2.200"))
        self.answers("192.0.2.200")

    def upsert(self, address):
        """Changes the record; None if the council can't decide."""
        batch = {"Changes": [change("UPSERT", "a.stays.example", values=[address])]}
        try:
            return self.route53.change_resource_record_sets(
                HostedZoneId=self.zone, ChangeBatch=batch
            )["ChangeInfo"]["Id"]
        except ClientError as error:
            self.assertEqual(error.response["Error"]["Code"], "Throttling", error)
        except EndpointConnectionError:
            pass
        except ConnectionClosedError:
            pass
        return None

    def answers(self, address):
        def right():
            try:
                return resolve(self.server, "a.stays.example") == [address]
            except OSError:
                return False

        eventually(right, 20)

    def status(self, number):
        return self.route53.get_change(Id=number)["ChangeInfo"]["Status"]

    def test_an_edge_that_restarts_alone_answers_from_its_disk(self):
        self.assertTrue(self.upsert("192.0.2.1"))
        self.answers("192.0.2.1")
        for site in (VIRGINIA, IRELAND, "edge-2"):
            self.lab.run("fault", "kill", site)
        self.assertEqual(resolve(self.server, "a.stays.example"), ["192.0.2.1"])
        self.lab.run("fault", "kill", "edge-1")
        with self.assertRaises(OSError):
            exchange(self.server, ONE_QUESTION, wait=0.5)
        self.lab.run("fault", "start", "edge-1")
        self.answers("192.0.2.1")

    def test_without_a_majority_nothing_changes_and_answers_go_on(self):
        self.assertTrue(self.upsert("192.0.2.2"))
        self.answers("192.0.2.2")
        self.lab.run("fault", "cut", VIRGINIA, IRELAND)
        self.lab.run("fault", "cut", VIRGINIA, "edge-1")
        self.lab.run("fault", "cut", VIRGINIA, "edge-2")
        self.lab.run("fault", "kill", IRELAND)
        self.assertIsNone(self.upsert("192.0.2.3"))
        self.assertEqual(resolve(self.server, "a.stays.example"), ["192.0.2.2"])
        listed = self.route53.list_resource_record_sets(HostedZoneId=self.zone)
        found = [r["ResourceRecords"] for r in listed["ResourceRecordSets"] if r["Type"] == "A"]
        self.assertEqual(found, [[{"Value": "192.0.2.2"}]])

    def test_a_change_is_pending_until_every_edge_that_lives_has_it(self):
        self.lab.run("fault", "pause", "edge-2")
        number = eventually(lambda: self.upsert("192.0.2.4"))
        self.assertEqual(self.status(number), "PENDING")
        self.lab.run("fault", "resume", "edge-2")
        eventually(lambda: self.status(number) == "INSYNC", 20)
        self.assertEqual(resolve(self.server, "a.stays.example"), ["192.0.2.4"])

    def test_a_dead_edge_is_not_waited_for(self):
        self.lab.run("fault", "kill", "edge-2")
        number = eventually(lambda: self.upsert("192.0.2.5"))
        eventually(lambda: self.status(number) == "INSYNC", 20)
        self.lab.run("fault", "heal")
        self.answers("192.0.2.5")


if __name__ == "__main__":
    unittest.main()
