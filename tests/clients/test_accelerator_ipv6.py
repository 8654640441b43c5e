"""Accelerators with IPv6 addresses by real clients: boto3, flows of plain sockets through static
addresses of a network that the host has for its own, and `dig`."""

import http.server
import ipaddress
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest
import uuid

from accelerators import Accelerators, Endpoint, addresses, common_port, who
from botocore.exceptions import ClientError
from lab import CAUSEWAY, Lab, eventually, free_port
from names import ask, dig, values

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"

# Endpoints of both families.
SIX, FOUR = "::1", "127.5.6.1"

# What stands before the addresses in a PROXY header of version 2: TCP and UDP over IPv6.
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

# The id by which aliases name the zone of accelerators.
ZONE = "Z2BJ6XQ5FK7U4H"


class Network:
    """A unique local network of random bits, which the host takes for its own until it is closed."""

    def __init__(self):
        self.prefix = str(ipaddress.IPv6Network(
            (0xfd << 120 | secrets.randbits(56) << 64, 64)))
        # Clients come from it; it is an interface's, so that anybody can bind to it.
        self.client = str(ipaddress.ip_network(self.prefix)[0x99])
        self.route("add")
        self.ip("address", "add", f"{self.client}/128", "dev", "lo", "nodad")

    def ip(self, *words):
        subprocess.run(["ip", "-6", *words], check=True, capture_output=True, timeout=20)

    def route(self, how):
        self.ip("route", how, "local", self.prefix, "dev", "lo")

    def close(self):
        self.ip("address", "del", f"{self.client}/128", "dev", "lo")
        self.route("del")


def why_not():
    """Why this can't be tested here; nothing if it can, or must be since CAUSEWAY_TEST_IPV6 is set:
    then what can't be is a failure."""
    if os.environ.get("CAUSEWAY_TEST_IPV6"):
        return None
    if not shutil.which("ip"):
        return "NOT TESTED: ip is not installed"
    try:
        Network().close()
    except (subprocess.SubprocessError, OSError):
        return "NOT TESTED: no IPv6 network can be routed to lo (it needs root and IPv6)"
    return None


WHY_NOT = why_not()


def datagram(address, port, data, wait=5.0):
    """What comes back for a datagram."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as link:
        link.settimeout(wait)
        link.connect((address, port))
        link.send(data)
        return link.recv(65535)


@unittest.skipIf(WHY_NOT, WHY_NOT)
class DualStack(Accelerators, unittest.TestCase):
    """boto3 against the API; flows of both families; `dig`."""

    @classmethod
    def setUpClass(cls):
        cls.network = Network()
        cls.addClassCleanup(cls.network.close)
        # In every lab its own edges' flows: two of them, so that one can die. Checks must be answered
        # within 1.5 times their interval: what is asked here by HTTP is a thread of this process, which
        # a busy machine lets wait for longer than those 350 ms that the shortest interval leaves.
        cls.lab = Lab("--regions", f"{VIRGINIA},{IRELAND}", "--delay-scale", "0", "--edges", "2",
                      "--health-interval", "2s", "--ipv6", cls.network.prefix)
        cls.addClassCleanup(cls.lab.close)
        cls.server = ("127.0.0.1", cls.lab.dns_port)

    def dual(self, **changes):
        """A new accelerator with addresses of both families, and those."""
        made = self.accelerator(IpAddressType="DUAL_STACK", **changes)
        return made, addresses(made), addresses(made, "IPv6")

    def endpoints(self, hosts=(SIX, FOUR), **changes):
        """Endpoints that share a port; the port."""
        port = common_port(hosts)
        made = {host: Endpoint(host, port, host, **changes) for host in hosts}
        for endpoint in made.values():
            self.addCleanup(endpoint.stop)
        return made, port

    def described(self, accelerator):
        found = self.client().describe_accelerator(AcceleratorArn=accelerator["AcceleratorArn"])
        return found["Accelerator"]

    def test_flows_of_both_families_come_to_endpoints_of_both(self):
        endpoints, port = self.endpoints(datagrams=True)
        accelerator, four, six = self.dual()
        self.assertEqual((len(four), len(six)), (2, 2))
        for address in six:
            self.assertIn(ipaddress.ip_address(address), ipaddress.ip_network(self.network.prefix))
        groups = []
        for protocol in ("TCP", "UDP"):
            listener = self.listener(accelerator, port, Protocol=protocol)
            groups.append(self.group(listener, VIRGINIA, {SIX: 128}))
            groups.append(self.group(listener, IRELAND, {FOUR: 128}))
        for group in groups:
            self.await_health(group, state="HEALTHY")
        self.await_deployed(accelerator)
        for address in four + six:
            self.assertEqual(who(address, port), SIX)
            self.assertEqual(datagram(address, port, b"a"), b"::1 a")
        # More than one piece, each way.
        data = os.urandom(3_000_000)
        with socket.create_connection((six[0], port), 10) as link:
            self.assertEqual(link.recv(4), b"::1\n")
            sender = threading.Thread(target=link.sendall, args=(data,))
            sender.start()
            received = bytearray()
            while len(received) < len(data):
                received += link.recv(65536)
            sender.join()
            self.assertEqual(bytes(received), data)
        # A dead endpoint costs nobody a connection, whatever the family of the next.
        endpoints[SIX].stop()
        for _ in range(50):
            self.assertEqual({who(address, port) for address in six}, {FOUR})
        eventually(lambda: self.health(groups[0]) == {SIX: "UNHEALTHY"})
        for address in four + six:
            self.assertEqual(datagram(address, port, b"b"), b"127.5.6.1 b")
        counted = lambda: [row for edge in self.lab.json("flows")["edges"]
                           for row in edge["listeners"]
                           if row["address"] == f"[{six[0]}]:{port}" and row["flows"] >= 50]
        eventually(counted)
        explained = self.lab.json("accelerator", "explain", f"[{six[0]}]:{port}",
                                  "--from", "2001:db8::9")
        self.assertEqual(explained["explanation"]["chosen"]["address"], f"{FOUR}:{port}")
        # An edge that dies is passed over, too.
        self.lab.run("fault", "kill", "edge-1")
        self.addCleanup(self.lab.run, "fault", "heal")
        for address in four + six:
            self.assertEqual(who(address, port), FOUR)
            self.assertEqual(datagram(address, port, b"c"), b"127.5.6.1 c")

    def test_an_endpoint_is_told_clients_of_ipv6_and_checked_by_http(self):
        port, health = common_port([SIX]), free_port()
        endpoint = Endpoint(SIX, port, SIX)
        self.addCleanup(endpoint.stop)
        # One that answers checks: the host that they ask for is an address of IPv6.
        asked = []

        class Ready(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append((self.path, self.headers["Host"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6
            # All sites ask at once; what waits in a full queue is asked again only after a second.
            request_queue_size = 128

        server = Server((SIX, health), Ready)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        accelerator, _, six = self.dual()
        group = self.group(
            self.listener(accelerator, port), VIRGINIA, {},
            HealthCheckProtocol="HTTP", HealthCheckPath="/ready", HealthCheckPort=health,
            EndpointConfigurations=[{"EndpointId": SIX, "ClientIPPreservationEnabled": True}],
        )
        self.await_health(group, state="HEALTHY")
        self.assertEqual(set(asked), {("/ready", f"[::1]:{health}")})
        self.await_deployed(accelerator)
        source = self.network.client
        self.assertEqual(who(six[1], port, source), SIX)
        head = eventually(lambda: next(
            (head for head in endpoint.heads if head.startswith(SIGNATURE)), None))
        self.assertEqual(head[12:16], b"\x21\x21\0\x24", head)
        self.assertEqual(head[16:32], socket.inet_pton(socket.AF_INET6, source))
        self.assertEqual(head[32:48], socket.inet_pton(socket.AF_INET6, six[1]))
        self.assertEqual(head[50:52], port.to_bytes(2, "big"))

    @unittest.skipUnless(shutil.which("dig"), "NOT TESTED: dig is not installed")
    def test_dig_finds_both_names_and_aliases_of_both_kinds(self):
        accelerator, four, six = self.dual()
        plain = self.accelerator()
        self.await_deployed(accelerator)
        self.await_deployed(plain)
        name, both = accelerator["DnsName"], accelerator["DualStackDnsName"]
        label = name.removesuffix(".awsglobalaccelerator.com")
        self.assertEqual(both, f"{label}.dualstack.awsglobalaccelerator.com")
        found = lambda name, kind: sorted(dig(self.server, name, kind))
        self.assertEqual(found(both, "AAAA"), sorted(six))
        self.assertEqual(found(both, "A"), sorted(four))
        self.assertEqual(found(name, "A"), sorted(four))
        self.assertEqual(found(name, "AAAA"), [])
        route53 = self.lab.route53()
        zone = route53.create_hosted_zone(Name="six.test", CallerReference=str(uuid.uuid4()))
        zone = zone["HostedZone"]["Id"]

        def alias(owner, kind, target):
            record = {"Name": owner, "Type": kind, "AliasTarget": {
                "HostedZoneId": ZONE, "DNSName": target, "EvaluateTargetHealth": False}}
            change = {"Action": "CREATE", "ResourceRecordSet": record}
            batch = {"Changes": [change]}
            return route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

        for kind in ("A", "AAAA"):
            alias("app.six.test", kind, both)
            change = alias("plain.six.test", kind, plain["DnsName"])["ChangeInfo"]["Id"]
        status = lambda: route53.get_change(Id=change)["ChangeInfo"]["Status"]
        eventually(lambda: status() == "INSYNC")
        seen = lambda kind, static: {values(ask(self.server, "app.six.test", kind))[0]
                                     for _ in range(40)} == set(static)
        eventually(lambda: seen("AAAA", six))
        eventually(lambda: seen("A", four))
        self.assertEqual(len(dig(self.server, "app.six.test", "AAAA")), 1)
        # An accelerator of IPv4 has no such address: the name is there, and the answer is empty.
        self.assertEqual(len(dig(self.server, "plain.six.test", "A")), 1)
        none = ask(self.server, "plain.six.test", "AAAA")
        self.assertEqual((none.rcode(), none.answer), (0, []))
        self.assertTrue(none.authority, "its SOA record says for how long")
        with self.assertRaises(ClientError) as raised:
            alias("no.six.test", "AAAA", "a0.dualstack.awsglobalaccelerator.com")
        self.assertIn("target was not found", str(raised.exception))

    def test_one_becomes_dual_stack_and_ipv4_again(self):
        _, port = self.endpoints([FOUR], datagrams=True)
        accelerator = self.accelerator()
        arn = accelerator["AcceleratorArn"]
        for protocol in ("TCP", "UDP"):
            listener = self.listener(accelerator, port, Protocol=protocol)
            group = self.group(listener, VIRGINIA, {FOUR: 128})
            self.await_health(group, state="HEALTHY")
        changed = self.client().update_accelerator(AcceleratorArn=arn, IpAddressType="DUAL_STACK")
        changed = changed["Accelerator"]
        self.assertEqual(addresses(changed), addresses(accelerator))
        six = addresses(changed, "IPv6")
        self.await_deployed(changed)
        self.assertEqual({who(address, port) for address in six}, {FOUR})
        name = changed["DualStackDnsName"]
        self.assertEqual(sorted(values(ask(self.server, name, "AAAA"))), sorted(six))
        # What is open outlives the address that it came to, a conversation by datagrams too.
        held = socket.create_connection((six[0], port), 5)
        self.addCleanup(held.close)
        self.assertEqual(held.recv(64), FOUR.encode() + b"\n")
        talk = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.addCleanup(talk.close)
        talk.settimeout(5)
        talk.connect((six[0], port))
        asked = lambda said: (talk.send(said), talk.recv(64))[1]
        self.assertEqual(asked(b"1"), b"127.5.6.1 1")
        back = self.client().update_accelerator(AcceleratorArn=arn, IpAddressType="IPV4")
        back = back["Accelerator"]
        self.assertNotIn("DualStackDnsName", back)
        self.assertEqual(addresses(back, "IPv6"), [])
        self.await_deployed(back)
        for address in six:
            with self.assertRaises(ConnectionRefusedError):
                who(address, port)
        self.assertEqual(values(ask(self.server, name, "AAAA")), [])
        self.assertEqual({who(address, port) for address in addresses(back)}, {FOUR})
        held.sendall(b"still there")
        self.assertEqual(held.recv(64), b"still there")
        self.assertEqual(asked(b"2"), b"127.5.6.1 2")

    def test_a_load_balancer_of_ipv4_is_no_endpoint_of_it(self):
        elb = self.lab.client(VIRGINIA, "elbv2")
        subnets = self.lab.client(VIRGINIA, "ec2").describe_subnets()["Subnets"]
        made = elb.create_load_balancer(
            Name="six", Type="network", Subnets=[subnet["SubnetId"] for subnet in subnets[:2]])
        balancer = made["LoadBalancers"][0]["LoadBalancerArn"]
        accelerator, _, _ = self.dual()
        listener = self.listener(accelerator, free_port())
        with self.assertRaises(ClientError) as raised:
            self.group(listener, VIRGINIA, {balancer: 128})
        self.assertEqual(raised.exception.response["Error"]["Code"], "InvalidArgumentException")
        self.assertIn("dual-stack", str(raised.exception))
        plain = self.accelerator()
        self.group(self.listener(plain, free_port()), VIRGINIA, {balancer: 128})
        with self.assertRaises(ClientError) as raised:
            self.client().update_accelerator(
                AcceleratorArn=plain["AcceleratorArn"], IpAddressType="DUAL_STACK")
        self.assertEqual(raised.exception.response["Error"]["Code"], "InvalidArgumentException")
        self.assertEqual(self.described(plain)["IpAddressType"], "IPV4")


class NoNetwork(unittest.TestCase):
    """Where there are no addresses, it is said what to do."""

    def test_without_a_network_dual_stack_is_refused_and_says_what_to_do(self):
        lab = Lab("--regions", VIRGINIA, "--delay-scale", "0")
        self.addCleanup(lab.close)
        client = lab.client("us-west-2", "globalaccelerator")
        with self.assertRaises(ClientError) as raised:
            client.create_accelerator(
                Name="a", IpAddressType="DUAL_STACK", IdempotencyToken=str(uuid.uuid4()))
        self.assertEqual(raised.exception.response["Error"]["Code"], "InvalidArgumentException")
        self.assertIn("causeway up --ipv6 PREFIX/64", str(raised.exception))

    def test_a_network_that_the_host_has_not_is_refused_at_the_start(self):
        folder = tempfile.TemporaryDirectory(prefix="causeway-clients-")
        self.addCleanup(folder.cleanup)
        prefix = str(ipaddress.IPv6Network((0xfd << 120 | secrets.randbits(56) << 64, 64)))
        started = subprocess.run(
            [CAUSEWAY, "up", "--data", f"{folder.name}/data", "--api-port", str(free_port()),
             "--dns-port", str(free_port()), "--ipv6", prefix],
            capture_output=True, text=True, timeout=60,
        )
        self.assertEqual(started.returncode, 2, started.stderr)
        self.assertIn(f"ip -6 route add local {prefix} dev lo", started.stderr)
        self.assertFalse(os.path.exists(f"{folder.name}/data"), "a refusal leaves nothing behind")


if __name__ == "__main__":
    unittest.main()
