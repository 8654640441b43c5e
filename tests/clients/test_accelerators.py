"""Accelerators by real clients: the stock command of the `aws` command line, boto3, flows of plain
sockets and `curl` through static addresses, and what a dead Region, endpoint or edge costs them."""

import collections
import concurrent.futures
import json
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import uuid

from accelerators import Accelerators, Endpoint, addresses, common_port, who
from botocore.exceptions import ClientError
from lab import Lab, eventually, free_port
from names import place, resolve

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"

# An application that says its Region, from a folder of its own.
SAYS_REGION = (
    'mkdir -p "{0}/$AWS_REGION" && printf %%s "$AWS_REGION" > "{0}/$AWS_REGION/region" && '
    'exec python3 -m http.server --bind "$HOST" "$PORT" --directory "{0}/$AWS_REGION"'
).replace("%%", "%")

# What stands before the client's address in a PROXY header of version 2.
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


class CommandLine(unittest.TestCase):
    """The stock command, `curl`, and an application that dies with its Region."""

    @classmethod
    def setUpClass(cls):
        cls.app_port = free_port()
        folder = tempfile.TemporaryDirectory(prefix="causeway-regions-")
        cls.addClassCleanup(folder.cleanup)
        # Probes every 10 s: what goes on at once goes on without them.
        cls.lab = Lab(
            "--regions", f"{VIRGINIA},{IRELAND}", "--delay-scale", "0",
            "--app", SAYS_REGION.format(folder.name), "--app-port", str(cls.app_port),
        )
        cls.addClassCleanup(cls.lab.close)

    def aws(self, *words):
        return self.lab.aws("us-west-2", "globalaccelerator", *words)

    def curl(self, address, port, source):
        result = subprocess.run(
            ["curl", "-sS", "--max-time", "5", "--interface", source,
             f"http://{address}:{port}/region"],
            capture_output=True, text=True, timeout=20,
        )
        return result.stdout if result.returncode == 0 else f"failed: {result.stderr}"

    @unittest.skipUnless(shutil.which("curl"), "NOT TESTED: curl is not installed")
    def test_a_region_dies_and_no_new_connection_fails(self):
        eventually(lambda: self.lab.aws(
            "us-west-2", "globalaccelerator", "list-accelerators") is not None)
        made = eventually(lambda: self.created("create-accelerator", "--name", "orders"))
        made = made["Accelerator"]
        # The edge may have it by now.
        self.assertIn(made["Status"], ("IN_PROGRESS", "DEPLOYED"))
        self.assertRegex(made["DnsName"], r"^a[0-9a-f]{16}\.awsglobalaccelerator\.com$")
        one, other = addresses(made)
        self.assertTrue(one.startswith("127.80.") and other.startswith("127.81."), made)
        arn, port = made["AcceleratorArn"], free_port()
        listener = self.aws(
            "create-listener", "--accelerator-arn", arn, "--protocol", "TCP",
            "--port-ranges", f"FromPort={port},ToPort={port}",
        )["Listener"]["ListenerArn"]
        groups = []
        for region, address in ((VIRGINIA, "127.1.1.1"), (IRELAND, "127.1.2.1")):
            made = self.aws(
                "create-endpoint-group", "--listener-arn", listener,
                "--endpoint-group-region", region,
                "--endpoint-configurations", f"EndpointId={address},Weight=128",
                "--health-check-port", str(self.app_port), "--threshold-count", "1",
                "--health-check-interval-seconds", "10",
                "--port-overrides", f"ListenerPort={port},EndpointPort={self.app_port}",
            )["EndpointGroup"]
            groups.append(made["EndpointGroupArn"])
        for group in groups:
            eventually(lambda: self.health(group) == ["HEALTHY"], 60)
        described = lambda: self.aws("describe-accelerator", "--accelerator-arn", arn)
        eventually(lambda: described()["Accelerator"]["Status"] == "DEPLOYED")

        for source, region in ((VIRGINIA, VIRGINIA), (IRELAND, IRELAND)):
            for address in (one, other):
                self.assertEqual(self.curl(address, port, place(source)), region)

        self.lab.run("fault", "kill", VIRGINIA)
        answers = collections.Counter(self.curl(one, port, place(VIRGINIA)) for _ in range(50))
        self.assertEqual(answers, {IRELAND: 50})
        self.lab.run("fault", "heal")
        eventually(lambda: self.curl(one, port, place(VIRGINIA)) == VIRGINIA, 60)

    def created(self, *words):
        result = self.lab.aws("us-west-2", "globalaccelerator", *words, check=False)
        return json.loads(result.stdout) if result.returncode == 0 else None

    def health(self, group):
        found = self.aws("describe-endpoint-group", "--endpoint-group-arn", group)
        endpoints = found["EndpointGroup"]["EndpointDescriptions"]
        return [endpoint["HealthState"] for endpoint in endpoints]


class Sdk(Accelerators, unittest.TestCase):
    """boto3 against the API; flows of plain sockets."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--regions", f"{VIRGINIA},{IRELAND}", "--delay-scale", "0",
                      "--health-interval", "200ms")
        cls.addClassCleanup(cls.lab.close)
        cls.hosts = ["127.5.1.1", "127.5.1.2", "127.5.2.1"]
        cls.server = ("127.0.0.1", cls.lab.dns_port)

    def endpoints(self, hosts=None, **changes):
        """Endpoints that share a port; the port."""
        hosts = hosts or self.hosts
        port = common_port(hosts)
        made = {host: Endpoint(host, port, host, **changes) for host in hosts}
        for endpoint in made.values():
            self.addCleanup(endpoint.stop)
        return made, port

    def two_groups(self, listener, **changes):
        """One endpoint in Virginia, one in Ireland; both healthy."""
        groups = [
            self.group(listener, VIRGINIA, {self.hosts[0]: 128}, **changes),
            self.group(listener, IRELAND, {self.hosts[2]: 128}, **changes),
        ]
        for group in groups:
            self.await_health(group, state="HEALTHY")
        return groups

    def test_the_nearest_group_takes_a_flow_and_a_dead_one_costs_nobody_a_connection(self):
        endpoints, port = self.endpoints()
        accelerator = self.accelerator()
        self.two_groups(self.listener(accelerator, port))
        self.await_deployed(accelerator)
        near = {VIRGINIA: self.hosts[0], IRELAND: self.hosts[2]}
        for address in addresses(accelerator):
            for region, host in near.items():
                self.assertEqual(who(address, port, place(region)), host)
        # An established flow stays where it is while its endpoint lives, whatever happens.
        address = addresses(accelerator)[0]
        held = socket.create_connection((address, port), 5, (place(IRELAND), 0))
        self.addCleanup(held.close)
        endpoints[self.hosts[0]].stop()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            tries = [pool.submit(who, address, port, place(VIRGINIA)) for _ in range(200)]
            answers = collections.Counter(one.result() for one in tries)
        self.assertEqual(answers, {self.hosts[2]: 200})
        held.sendall(b"still there")
        held.settimeout(5)
        received = b""
        while not received.endswith(b"still there"):
            received += held.recv(64)

    def test_established_flows_stay_whatever_becomes_of_weights_dials_and_endpoints(self):
        near, far = self.hosts[0], self.hosts[2]
        _, port = self.endpoints(datagrams=True)
        accelerator = self.accelerator()
        groups = {}
        for protocol in ("TCP", "UDP"):
            listener = self.listener(accelerator, port, Protocol=protocol)
            groups[protocol] = self.two_groups(listener)[0]["EndpointGroupArn"]
        self.await_deployed(accelerator)
        address = addresses(accelerator)[0]
        source = place(VIRGINIA)

        def datagrams():
            link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(link.close)
            link.bind((source, 0))
            link.settimeout(5)
            link.connect((address, port))
            return link

        def asked(link):
            link.send(b"?")
            return link.recv(64).decode().split()[0]

        held = socket.create_connection((address, port), 5, (source, 0))
        self.addCleanup(held.close)
        held.settimeout(5)
        self.assertEqual(held.recv(64).decode().strip(), near)
        talk = datagrams()
        self.assertEqual(asked(talk), near)

        def stays(said):
            """New flows go elsewhere, and the old ones are where they were."""
            eventually(lambda: who(address, port, source) == far)
            eventually(lambda: asked(datagrams()) == far)
            held.sendall(said)
            received = b""
            while len(received) < len(said):
                received += held.recv(64)
            self.assertEqual(received, said)
            self.assertEqual(asked(talk), near)

        def both(call, **changes):
            for arn in groups.values():
                getattr(self.client(), call)(EndpointGroupArn=arn, **changes)

        weight = lambda weight: [{"EndpointId": near, "Weight": weight}]
        both("update_endpoint_group", EndpointConfigurations=weight(0))
        stays(b"without a weight")
        both("update_endpoint_group", EndpointConfigurations=weight(128))
        eventually(lambda: who(address, port, source) == near)
        both("update_endpoint_group", TrafficDialPercentage=0.0)
        stays(b"with its dial at 0")
        both("update_endpoint_group", TrafficDialPercentage=100.0)
        eventually(lambda: who(address, port, source) == near)
        both("remove_endpoints", EndpointIdentifiers=[{"EndpointId": near}])
        stays(b"removed")
        both("delete_endpoint_group")
        stays(b"without its group")

    def test_dials_spill_half_of_each_coast(self):
        _, port = self.endpoints()
        accelerator = self.accelerator()
        self.two_groups(self.listener(accelerator, port), TrafficDialPercentage=50.0)
        address = addresses(accelerator)[0]
        self.await_deployed(accelerator)
        for region in (VIRGINIA, IRELAND):
            answers = collections.Counter(who(address, port, place(region)) for _ in range(200))
            for host in (self.hosts[0], self.hosts[2]):
                self.assertTrue(60 <= answers[host] <= 140, (region, answers))

    def test_source_ip_keeps_a_client_with_an_endpoint_and_weights_share(self):
        _, port = self.endpoints()
        accelerator = self.accelerator()
        listener = self.listener(accelerator, port, ClientAffinity="SOURCE_IP")
        both = {self.hosts[0]: 128, self.hosts[1]: 128}
        group = self.group(listener, VIRGINIA, both)
        self.await_health(group, state="HEALTHY")
        self.await_deployed(accelerator)
        address = addresses(accelerator)[0]
        seen = {}
        for last in range(1, 41):
            source = place(VIRGINIA, last)
            seen[source] = {who(address, port, source) for _ in range(3)}
        self.assertEqual({len(hosts) for hosts in seen.values()}, {1})
        self.assertEqual(set().union(*seen.values()), set(both))
        # Without a weight one gets nothing new.
        self.client().update_endpoint_group(
            EndpointGroupArn=group["EndpointGroupArn"],
            EndpointConfigurations=[
                {"EndpointId": self.hosts[0], "Weight": 0},
                {"EndpointId": self.hosts[1], "Weight": 255},
            ],
        )
        self.await_deployed(accelerator)
        eventually(lambda: who(address, port, place(VIRGINIA)) == self.hosts[1])
        answers = {who(address, port, place(VIRGINIA, last)) for last in range(1, 41)}
        self.assertEqual(answers, {self.hosts[1]})

    def test_an_endpoint_gets_flows_once_it_has_passed_and_none_while_it_fails(self):
        endpoints, port = self.endpoints(self.hosts[:2])
        endpoints[self.hosts[1]].stop()
        accelerator = self.accelerator()
        group = self.group(self.listener(accelerator, port), VIRGINIA,
                           {self.hosts[0]: 1, self.hosts[1]: 255})
        expected = {self.hosts[0]: "HEALTHY", self.hosts[1]: "UNHEALTHY"}
        eventually(lambda: self.health(group) == expected)
        self.await_deployed(accelerator)
        address = addresses(accelerator)[0]
        self.assertEqual(who(address, port), self.hosts[0])
        endpoints[self.hosts[1]].start()
        self.await_health(group, state="HEALTHY")
        eventually(lambda: who(address, port) == self.hosts[1])
        for endpoint in endpoints.values():
            endpoint.stop()
        self.await_health(group, state="UNHEALTHY")
        # Nobody is left to take it: it is broken off, not held.
        with self.assertRaises(OSError):
            who(address, port)

    def test_datagrams_of_a_flow_go_to_one_endpoint_and_come_back(self):
        _, port = self.endpoints(datagrams=True)
        accelerator = self.accelerator()
        listener = self.listener(accelerator, port, Protocol="UDP")
        self.two_groups(listener)
        self.await_deployed(accelerator)
        address = addresses(accelerator)[0]
        for region, host in ((VIRGINIA, self.hosts[0]), (IRELAND, self.hosts[2])):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
                link.bind((place(region), 0))
                link.settimeout(5)
                link.connect((address, port))
                for number in range(20):
                    link.send(b"%d" % number)
                    self.assertEqual(link.recv(100), f"{host} {number}".encode())

    def test_an_endpoint_is_told_the_client_by_a_proxy_header_if_it_wants_that(self):
        endpoints, port = self.endpoints(self.hosts[:1])
        accelerator = self.accelerator()
        listener = self.listener(accelerator, port)
        group = self.group(listener, VIRGINIA, {}, EndpointConfigurations=[
            {"EndpointId": self.hosts[0], "ClientIPPreservationEnabled": True},
        ])
        self.await_health(group, state="HEALTHY")
        self.await_deployed(accelerator)
        self.assertEqual(who(addresses(accelerator)[0], port, place(IRELAND)), self.hosts[0])
        heads = endpoints[self.hosts[0]].heads
        head = eventually(lambda: next((h for h in heads if h.startswith(SIGNATURE)), None))
        self.assertEqual(head[12:14], b"\x21\x11", head)
        self.assertEqual(socket.inet_ntoa(head[16:20]), place(IRELAND))

    def test_names_answer_and_an_alias_obeys_the_endpoints_health(self):
        endpoints, port = self.endpoints(self.hosts[:1])
        accelerator = self.accelerator()
        group = self.group(self.listener(accelerator, port), VIRGINIA, {self.hosts[0]: 128})
        self.await_health(group, state="HEALTHY")
        self.await_deployed(accelerator)
        static = sorted(addresses(accelerator))
        name = accelerator["DnsName"]
        self.assertEqual(resolve(self.server, name), static)
        self.assertEqual(resolve(self.server, "a0." + name.split(".", 1)[1]), [])
        route53 = self.lab.route53()
        zone = route53.create_hosted_zone(Name="example.com", CallerReference="alias")
        zone = zone["HostedZone"]["Id"]
        alias = {"HostedZoneId": "Z2BJ6XQ5FK7U4H", "DNSName": name, "EvaluateTargetHealth": True}
        first = {"Name": "app.example.com", "Type": "A", "SetIdentifier": "1",
                 "Failover": "PRIMARY", "AliasTarget": alias}
        second = {"Name": "app.example.com", "Type": "A", "SetIdentifier": "2",
                  "Failover": "SECONDARY", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.9"}]}
        changes = [{"Action": "CREATE", "ResourceRecordSet": it} for it in (first, second)]
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
        answer = lambda: resolve(self.server, "app.example.com")
        eventually(lambda: len(answer()) == 1 and answer()[0] in static)
        seen = eventually(lambda: {answer()[0] for _ in range(40)} == set(static))
        self.assertTrue(seen, "one of the two, each in its turn")
        endpoints[self.hosts[0]].stop()
        eventually(lambda: answer() == ["192.0.2.9"])
        missing = {**first, "Name": "no.example.com",
                   "AliasTarget": {**alias, "DNSName": "a0.awsglobalaccelerator.com"}}
        with self.assertRaises(ClientError) as raised:
            route53.change_resource_record_sets(
                HostedZoneId=zone,
                ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": missing}]})
        self.assertIn("target was not found", str(raised.exception))

    def test_a_disabled_one_refuses_keeps_its_addresses_and_can_be_deleted(self):
        _, port = self.endpoints(self.hosts[:1])
        accelerator = self.accelerator()
        listener = self.listener(accelerator, port)
        group = self.group(listener, VIRGINIA, {self.hosts[0]: 128})
        self.await_health(group, state="HEALTHY")
        self.await_deployed(accelerator)
        address, client = addresses(accelerator)[0], self.client()
        self.assertEqual(who(address, port), self.hosts[0])
        arn = accelerator["AcceleratorArn"]
        with self.assertRaises(client.exceptions.AcceleratorNotDisabledException):
            client.delete_accelerator(AcceleratorArn=arn)
        changed = client.update_accelerator(AcceleratorArn=arn, Enabled=False)["Accelerator"]
        self.assertEqual(addresses(changed), addresses(accelerator))
        self.await_deployed(accelerator)
        with self.assertRaises(ConnectionRefusedError):
            who(address, port)
        client.delete_endpoint_group(EndpointGroupArn=group["EndpointGroupArn"])
        client.delete_listener(ListenerArn=listener["ListenerArn"])
        client.delete_accelerator(AcceleratorArn=arn)
        # Nothing is left to be described, so nothing says when the edges know.
        eventually(lambda: resolve(self.server, accelerator["DnsName"]) == [])

    def test_commands_count_flows_and_explain_them(self):
        _, port = self.endpoints()
        accelerator = self.accelerator()
        self.two_groups(self.listener(accelerator, port))
        self.await_deployed(accelerator)
        address = addresses(accelerator)[0]
        for _ in range(3):
            who(address, port, place(IRELAND))
        def counted():
            edge = self.lab.json("flows")["edges"][0]
            rows = [row for row in edge["listeners"] if row["address"] == f"{address}:{port}"]
            ends = [row for row in edge["endpoints"]
                    if row["address"] == f"{self.hosts[2]}:{port}"]
            return rows and ends and rows[0]["flows"] == 3 and ends[0]["flows"] == 3 \
                and ends[0]["open"] == 0 and ends[0]["bytes_out"] == 3 * len(self.hosts[2] + "\n")
        eventually(counted)
        self.assertIn(f"{address}:{port}", self.lab.run("flows").stdout)
        explained = self.lab.json("accelerator", "explain", f"{address}:{port}",
                                  "--from", VIRGINIA)
        self.assertEqual(explained["explanation"]["chosen"]["address"], f"{self.hosts[0]}:{port}")
        text = self.lab.run("accelerator", "explain", f"{address}:{port}", "--from", IRELAND).stdout
        self.assertIn("eu-west-1", text)
        self.assertIn("as edge-1 would carry it", text)
        nowhere = self.lab.run("accelerator", "explain", "127.80.0.0:1").stdout
        self.assertIn("no accelerator has this address", nowhere)
        operations = self.lab.json("status", "--operations")
        row = next(row for row in operations if row["service"] == "globalaccelerator")
        self.assertEqual(row["built"] + row["not_built"], 56)
        self.assertIn("FLOWS", self.lab.run("status").stdout)
        metric = f'causeway_accelerator_flows_total{{edge="edge-1",listener="{address}:{port}",'
        self.assertIn(metric + 'protocol="TCP"} 3', self.lab.run("metrics").stdout)


class LastKnown(Accelerators, unittest.TestCase):
    """Invariant 9: an edge that restarts alone carries by what it last knew."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--regions", f"{VIRGINIA},{IRELAND}", "--delay-scale", "0",
                      "--health-interval", "200ms")
        cls.addClassCleanup(cls.lab.close)

    def test_invariant_9_an_edge_that_restarts_alone_carries_flows_from_the_first(self):
        hosts = ["127.5.3.1", "127.5.3.2"]
        port = common_port(hosts)
        endpoints = [Endpoint(host, port, host) for host in hosts]
        for endpoint in endpoints:
            self.addCleanup(endpoint.stop)
        endpoints[0].stop()
        accelerator = self.accelerator()
        group = self.group(self.listener(accelerator, port), VIRGINIA, dict.fromkeys(hosts, 128))
        expected = {hosts[0]: "UNHEALTHY", hosts[1]: "HEALTHY"}
        eventually(lambda: self.health(group) == expected)
        self.await_deployed(accelerator)
        address = addresses(accelerator)[0]
        self.assertEqual(who(address, port), hosts[1])
        for site in (VIRGINIA, IRELAND, "edge-1"):
            self.lab.run("fault", "kill", site)
        with self.assertRaises(ConnectionRefusedError):
            who(address, port)
        # It comes back, with nobody else there and the endpoint that failed still unprobed.
        self.lab.run("fault", "start", "edge-1")
        for _ in range(20):
            self.assertEqual(who(address, port), hosts[1])
        self.assertEqual(resolve(("127.0.0.1", self.lab.dns_port), accelerator["DnsName"]),
                         sorted(addresses(accelerator)))


class NoEdge(unittest.TestCase):
    """Nobody would carry a flow."""

    def test_a_lab_of_no_edge_says_that_it_has_no_accelerators(self):
        lab = Lab("--regions", VIRGINIA, "--edges", "0", "--delay-scale", "0")
        self.addCleanup(lab.close)
        client = lab.client("us-west-2", "globalaccelerator")
        with self.assertRaises(ClientError) as raised:
            client.create_accelerator(Name="a", IdempotencyToken=str(uuid.uuid4()))
        self.assertIn("--edges 1", str(raised.exception))


class Delays(Accelerators, unittest.TestCase):
    """A lab's geography: a flow takes the time of its way."""

    def test_a_flow_takes_the_time_to_its_region_and_from_its_client(self):
        self.__class__.lab = Lab("--regions", f"{VIRGINIA},{IRELAND}", "--health-interval", "200ms")
        self.addCleanup(self.lab.close)
        port = common_port(["127.5.4.1"])
        endpoint = Endpoint("127.5.4.1", port, "far")
        self.addCleanup(endpoint.stop)
        accelerator = self.accelerator()
        group = self.group(self.listener(accelerator, port), IRELAND, {"127.5.4.1": 128})
        self.await_health(group, state="HEALTHY")
        self.await_deployed(accelerator)
        begun = time.monotonic()
        who(addresses(accelerator)[0], port)
        # The edge is in Virginia: a way to Ireland takes some 35 ms, and the same back.
        self.assertGreater(time.monotonic() - begun, 0.03)


if __name__ == "__main__":
    unittest.main()
