"""What edges make of accelerators' IPv6 addresses beside carrying flows: flow logs, draining, the
announcement of both families, and a lab that starts again without a network of such addresses."""

import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import uuid

import test_accelerator_flow_logs as flow_logs
import test_accelerator_ipv6 as ipv6
from accelerators import Accelerators, Endpoint, addresses, common_port, decided, who
from botocore.exceptions import ClientError
from lab import CAUSEWAY, Lab, eventually

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"

# Endpoints of both families.
SIX, FOUR = "::1", "127.5.6.2"


class Served(Accelerators):
    """A lab with a network, two edges, and an endpoint of each family."""

    @classmethod
    def setUpClass(cls):
        cls.network = ipv6.Network()
        cls.addClassCleanup(cls.network.close)
        cls.lab = Lab("--regions", f"{VIRGINIA},{IRELAND}", "--delay-scale", "0", "--edges", "2",
                      "--health-interval", "200ms", "--flow-log-interval", "2s",
                      "--ipv6", cls.network.prefix)
        cls.addClassCleanup(cls.lab.close)
        cls.port = common_port((SIX, FOUR))
        for host in (SIX, FOUR):
            endpoint = Endpoint(host, cls.port, host, datagrams=True)
            cls.addClassCleanup(endpoint.stop)

    def serve(self, **hosts):
        """A dual-stack accelerator whose listeners of those protocols lead to those endpoints; it, and
        an address of each family."""
        made = self.accelerator(IpAddressType="DUAL_STACK")
        for protocol, host in hosts.items():
            listener = self.listener(made, self.port, Protocol=protocol)
            group = self.group(listener, VIRGINIA, {host: 128})
            self.await_health(group, state="HEALTHY")
        self.await_deployed(made)
        return made, addresses(made)[0], addresses(made, "IPv6")[0]

    def connect(self, address, name):
        """A long connection."""
        link = socket.create_connection((address, self.port), 5)
        self.addCleanup(link.close)
        self.assertEqual(link.recv(64), name.encode() + b"\n")
        return link

    def talk(self, address):
        """A conversation by datagrams: what is given is sent, and answered."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        link = socket.socket(family, socket.SOCK_DGRAM)
        self.addCleanup(link.close)
        link.settimeout(5)
        link.connect((address, self.port))
        return link, lambda said: (link.send(said), link.recv(64))[1]

    def lives(self, link):
        link.sendall(b"still there")
        received = b""
        while len(received) < len(b"still there"):
            more = link.recv(64)
            self.assertTrue(more, "the flow has ended")
            received += more
        self.assertEqual(received, b"still there")


@unittest.skipIf(ipv6.WHY_NOT, ipv6.WHY_NOT)
class FlowLogs(Served, unittest.TestCase):
    """What flow logs say of flows of both families."""

    bucket, enable = flow_logs.FlowLogs.bucket, flow_logs.FlowLogs.enable
    records = flow_logs.FlowLogs.records

    def test_records_have_clients_endpoints_and_sources_of_either_family(self):
        client = self.bucket(IRELAND, "six", flow_logs.policy("six", "logs"))
        accelerator, four, six = self.serve(TCP=FOUR, UDP=SIX)
        self.enable(accelerator, "six")
        self.await_deployed(accelerator)
        expected = {}
        for address, family in ((four, "IPV4"), (six, "IPV6")):
            link = self.connect(address, FOUR)
            for protocol, host in (("TCP", FOUR), ("UDP", SIX)):
                if protocol == "UDP":
                    link, asked = self.talk(address)
                    self.assertEqual(asked(b"eleven bytes"), b"::1 eleven bytes")
                    moved = {"INGRESS": 12, "EGRESS": 16}
                else:
                    self.lives(link)
                    moved = {"INGRESS": 11, "EGRESS": 11 + len(FOUR) + 1}
                name, port = link.getsockname()[:2]
                for direction, count in moved.items():
                    source = "127.0.0.1" if host == FOUR else "::1"
                    key = (protocol, family, name, str(port), address, str(self.port),
                           host, str(self.port), source, direction)
                    expected[key] = count
                link.close()

        def told():
            sums = {}
            for it in self.records(client, "six"):
                self.assertEqual((it["log_status"], it["action"]), ("OK", "ACCEPT"))
                key = (it["protocol"], it["ip_address_type"], it["client_ip"], it["client_port"],
                       it["accelerator_ip"], it["accelerator_port"], it["endpoint_ip"],
                       it["endpoint_port"], it["globalaccelerator_source_ip"], it["direction"])
                sums[key] = sums.get(key, 0) + int(it["bytes"])
            return sums

        eventually(lambda: len(told()) >= len(expected))
        # The windows that are still open come later, if flows have any.
        eventually(lambda: sum(told().values()) >= sum(expected.values()))
        self.assertEqual(told(), expected)

        # A flow that outlives its address goes on. What was moved until then is told, as that of its
        # accelerator; what comes after isn't.
        held, kept = self.connect(six, FOUR), self.connect(four, FOUR)
        name = len(FOUR) + 1
        self.lives(held)
        arn = accelerator["AcceleratorArn"]
        changed = self.client().update_accelerator(AcceleratorArn=arn, IpAddressType="IPV4")
        self.await_deployed(changed["Accelerator"])

        ports = [str(link.getsockname()[1]) for link in (held, kept)]

        def moved():
            counts = told().items()
            return [sum(count for key, count in counts if key[3] == port) for port in ports]

        eventually(lambda: moved()[0] == 2 * 11 + name)
        # By then its last window is over for sure.
        time.sleep(11)
        self.lives(held)
        self.lives(kept)
        kept.close()
        eventually(lambda: moved()[1] == 2 * 11 + name)
        self.assertEqual(moved()[0], 2 * 11 + name)


@unittest.skipIf(ipv6.WHY_NOT, ipv6.WHY_NOT)
class Drained(Served, unittest.TestCase):
    """What draining an edge makes of flows of IPv6. Such a client is next door to the first."""

    def came(self, address):
        """How many flows have come to each edge at that address."""
        edges = self.lab.json("flows")["edges"]
        return [sum(row["flows"] for row in edge["listeners"]
                    if row["address"].startswith(f"[{address}]")) for edge in edges]

    def test_flows_of_ipv6_stay_at_an_edge_that_is_drained_and_new_ones_come_to_the_next(self):
        _, _, six = self.serve(TCP=SIX, UDP=FOUR)
        held, (_, asked) = self.connect(six, SIX), self.talk(six)
        self.assertEqual(asked(b"1"), b"127.5.6.2 1")
        eventually(lambda: self.came(six) == [2, 0])
        self.addCleanup(self.lab.run, "edge", "undrain", "edge-1")
        ended = self.lab.run("edge", "drain", "edge-1", "--within", "1s", check=False)
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertIn("2 flows of edge-1 were left at the deadline", ended.stderr)
        self.assertEqual(asked(b"again"), b"127.5.6.2 again")
        self.assertEqual(who(six, self.port), SIX)
        self.assertEqual(self.talk(six)[1](b"2"), b"127.5.6.2 2")
        eventually(lambda: self.came(six) == [2, 2])
        self.lives(held)
        self.assertEqual(asked(b"3"), b"127.5.6.2 3")
        self.assertEqual(self.came(six), [2, 2], "what it had is the same flow")
        self.lab.run("edge", "undrain", "edge-1")
        self.assertEqual(who(six, self.port), SIX)
        self.assertEqual(self.talk(six)[1](b"4"), b"127.5.6.2 4")
        eventually(lambda: self.came(six) == [4, 2])

    @unittest.skipUnless(shutil.which("bird") and shutil.which("birdc"),
                         "NOT TESTED: bird is not installed")
    def test_both_families_are_withdrawn_before_an_edge_is_drained_and_announced_after(self):
        folder = tempfile.TemporaryDirectory(prefix="causeway-families-")
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name)
        dns = {site["site"]: site["dns"] for site in self.lab.json("status")["sites"]}
        (path / "announce.toml").write_text(f"""
            control_socket = "{path}/bird.ctl"
            bird_configuration = "{path}/bird.conf"
            router_id = "192.0.2.1"
            prefixes = ["203.0.113.0/24", "{self.network.prefix}"]
            edge = "{self.lab.data}/edge-2"
            checks = ["dns:{dns["edge-2"]}"]
            others = ["dns:{dns["edge-1"]}"]
        """)
        log = open(path / "log", "ab")
        self.addCleanup(log.close)

        def start(*words):
            process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            self.addCleanup(process.wait, 20)
            self.addCleanup(process.kill)

        def families():
            """Those whose routes BIRD has to announce."""
            told = subprocess.run(["birdc", "-s", str(path / "bird.ctl"), "show", "route"],
                                  capture_output=True, text=True, timeout=20).stdout
            return [name for name in ("causeway4", "causeway6") if f"[{name} " in told]

        start(CAUSEWAY, "announce", "--config", str(path / "announce.toml"))
        eventually((path / "bird.conf").exists)
        start("bird", "-f", "-c", str(path / "bird.conf"), "-s", str(path / "bird.ctl"),
              "-P", str(path / "bird.pid"))
        announced = self.lab.data / "edge-2" / "announced"
        self.addCleanup(announced.unlink, missing_ok=True)
        eventually(lambda: families() == ["causeway4", "causeway6"] and announced.exists())
        self.addCleanup(self.lab.run, "edge", "undrain", "edge-2")
        self.lab.run("edge", "drain", "edge-2")
        self.assertEqual(families(), [])
        self.assertFalse(announced.exists())
        self.lab.run("edge", "undrain", "edge-2")
        eventually(lambda: families() == ["causeway4", "causeway6"])


@unittest.skipIf(ipv6.WHY_NOT, ipv6.WHY_NOT)
class Restarted(Served, unittest.TestCase):
    """A lab that starts again while an accelerator has IPv6 addresses."""

    def restart(self, *words):
        self.lab.stop()
        self.lab.arguments = words
        self.lab.start()

    def test_an_accelerator_keeps_its_addresses_without_a_network_and_is_served_where_it_can_be(self):
        accelerator, four, six = self.serve(TCP=FOUR)
        arn = accelerator["AcceleratorArn"]
        described = lambda: self.client().describe_accelerator(AcceleratorArn=arn)["Accelerator"]
        served = lambda address: eventually(lambda: self.is_served(address))
        # The network is remembered.
        self.restart()
        served(six)
        # Without it the addresses are there as long as the host has them; there are no more.
        self.restart("--ipv6", "off")
        served(six)
        served(four)
        with self.assertRaises(ClientError) as raised:
            self.client().create_accelerator(
                Name="a", IpAddressType="DUAL_STACK", IdempotencyToken=str(uuid.uuid4()))
        self.assertIn("causeway up --ipv6 PREFIX/64", str(raised.exception))
        self.assertEqual(described()["IpSets"], accelerator["IpSets"])
        # The host hasn't: the lab starts, says so, and serves what it can.
        self.network.route("del")
        self.addCleanup(self.network.route, "add")
        self.restart()
        served(four)
        eventually(lambda: f"[{six}]:{self.port}" in self.lab.run("status").stdout)
        with self.assertRaises(OSError):
            who(six, self.port)
        self.assertEqual(described()["IpSets"], accelerator["IpSets"])
        # Asked for that network it doesn't start, and is as it was.
        self.lab.stop()
        refused = subprocess.run(
            [CAUSEWAY, "up", "--data", str(self.lab.data), "--ipv6", self.network.prefix],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn(f"ip -6 route add local {self.network.prefix} dev lo", refused.stderr)
        self.lab.start()
        served(four)
        # It may become one of IPv4, and then nothing is wrong.
        change = self.client().update_accelerator
        back = decided(change, AcceleratorArn=arn, IpAddressType="IPV4")
        self.await_deployed(back["Accelerator"])
        eventually(lambda: six not in self.lab.run("status").stdout)
        served(four)

    def is_served(self, address):
        try:
            return who(address, self.port) == FOUR
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main()
