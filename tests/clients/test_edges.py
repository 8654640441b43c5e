"""Several edges behind the same static addresses: each client comes to the nearest that is alive,
and an edge that dies or hangs costs those who come next nothing but a moment."""

import socket
import threading
import time
import unittest

from accelerators import Accelerators, addresses, who
from lab import Lab, eventually
from names import place

VIRGINIA, IRELAND, SINGAPORE = "us-east-1", "eu-west-1", "ap-southeast-1"

# Edges are placed where the Regions are, in their order.
EDGES = {VIRGINIA: "edge-1", IRELAND: "edge-2", SINGAPORE: "edge-3"}

# How long what comes to an edge that is dead or hangs may fail.
WINDOW = 3.0


class Load:
    """New connections at a steady rate from one place, whatever became of those before."""

    def __init__(self, address, port, source, rate=50):
        self.address, self.port, self.source = address, port, source
        self.pause = 1 / rate
        self.outcomes = []
        self.stopping = threading.Event()
        self.threads = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        due = time.monotonic()
        while not self.stopping.is_set():
            one = threading.Thread(target=self.connect, daemon=True)
            one.start()
            self.threads.append(one)
            due += self.pause
            time.sleep(max(0, due - time.monotonic()))

    def connect(self):
        begun = time.monotonic()
        try:
            who(self.address, self.port, self.source, wait=10)
            failed = None
        except OSError as error:
            failed = repr(error)
        self.outcomes.append((begun, time.monotonic(), failed))

    def stop(self):
        """Ends it; what became of each connection: begun, ended, and how it failed."""
        self.stopping.set()
        self.thread.join()
        for one in self.threads:
            one.join()
        return self.outcomes


class SeveralEdges(Accelerators, unittest.TestCase):
    """A lab of three Regions and three edges."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--edges", "3", "--delay-scale", "0", "--health-interval", "200ms")
        cls.addClassCleanup(cls.lab.close)
        cls.serve_both_protocols("127.5.9.1")

    def tearDown(self):
        self.lab.run("fault", "heal")
        eventually(lambda: all(not edge["silent"] for edge in self.held()["edges"]))
        eventually(lambda: len(self.held()["edges"]) == 3)
        eventually(lambda: all(edge["listeners"] == 4 for edge in self.held()["edges"]))

    def held(self):
        """What the supervisor says of the addresses that it holds."""
        return self.lab.json("flows")["addresses"]

    def came(self, protocol="TCP"):
        """How many flows have come to each edge that answers."""
        edges = self.lab.json("flows")["edges"]
        return {
            edge["edge"]: sum(row["flows"] for row in edge["listeners"]
                              if row["protocol"] == protocol)
            for edge in edges
        }

    def edge_of(self, source):
        """The edge that a new connection from there comes to."""
        before = self.came()
        who(self.address, self.port, source)
        def risen():
            after = self.came()
            return [edge for edge, count in after.items() if count > before.get(edge, 0)]
        return eventually(risen)[0]

    def test_each_client_comes_to_its_nearest_edge_and_to_the_next_when_that_dies(self):
        for region, edge in EDGES.items():
            self.assertEqual(self.edge_of(place(region)), edge)
        # Next door to all of them: the first.
        self.assertEqual(self.edge_of("127.0.0.1"), "edge-1")
        self.assertEqual(self.held()["listeners"], 4, "each address and protocol once")

        near = Load(self.address, self.port, place(VIRGINIA))
        far = Load(self.address, self.port, place(SINGAPORE))
        held = {region: socket.create_connection((self.address, self.port), 5, (place(region), 0))
                for region in (VIRGINIA, SINGAPORE)}
        for link in held.values():
            self.addCleanup(link.close)
            link.settimeout(5)
            self.assertEqual(link.recv(64), b"there\n")
        time.sleep(1)
        killed = time.monotonic()
        self.lab.run("fault", "kill", "edge-1")
        time.sleep(1.5)
        self.assertEqual(self.edge_of(place(VIRGINIA)), "edge-2")
        failed = [one for one in near.stop() if one[2]]
        late = [one for one in failed if one[0] > killed + WINDOW or one[1] < killed]
        self.assertEqual(late, [], "only what came as the edge died")
        self.assertEqual([one for one in far.stop() if one[2]], [], "other edges go on")

        # What the dead one carried has ended, what others carry goes on.
        with self.assertRaises((OSError, EOFError)):
            held[VIRGINIA].sendall(b"a")
            if not held[VIRGINIA].recv(64):
                raise EOFError
        held[SINGAPORE].sendall(b"still there")
        self.assertEqual(held[SINGAPORE].recv(64), b"still there")

        # It comes back, and has its clients again.
        self.lab.run("fault", "start", "edge-1")
        eventually(lambda: self.edge_of(place(VIRGINIA)) == "edge-1")

    def test_an_edge_that_hangs_holds_nobody_up(self):
        before = self.held()
        load = Load(self.address, self.port, place(IRELAND))
        time.sleep(0.5)
        self.lab.run("fault", "pause", "edge-2")
        paused = time.monotonic()
        time.sleep(2.5)
        # What it had taken when it stopped is its own, and waits with it.
        outcomes = [one for one in load.stop() if one[0] > paused]
        self.assertGreater(len(outcomes), 50)
        self.assertEqual([one for one in outcomes if one[2]], [])
        self.assertLess(max(ended - begun for begun, ended, _ in outcomes), WINDOW)
        silent = {edge["edge"]: edge["silent"] for edge in self.held()["edges"]}
        self.assertEqual(silent, {"edge-1": False, "edge-2": True, "edge-3": False})
        back = {edge["edge"]: edge["taken_back"] for edge in self.held()["edges"]}
        was = {edge["edge"]: edge["taken_back"] for edge in before["edges"]}
        self.assertGreater(back["edge-2"], was["edge-2"], "what it hadn't taken went elsewhere")
        self.lab.run("fault", "heal")
        eventually(lambda: self.edge_of(place(IRELAND)) == "edge-2")

    def test_datagrams_stay_with_their_edge_and_go_on_when_it_dies(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.bind((place(SINGAPORE), 0))
            link.settimeout(0.25)
            link.connect((self.address, self.port))
            before = self.came("UDP")
            for number in range(20):
                self.assertEqual(self.exchange(link, number), f"there {number}")
            after = self.came("UDP")
            came = {edge: after[edge] - before[edge] for edge in after}
            self.assertEqual(came, {"edge-1": 0, "edge-2": 0, "edge-3": 1}, "one flow")
            self.lab.run("fault", "kill", "edge-3")
            begun = time.monotonic()
            self.assertEqual(self.exchange(link, 77), "there 77")
            self.assertLess(time.monotonic() - begun, WINDOW)

    def exchange(self, link, number):
        """The answer to a datagram that is sent again until there is one."""
        for _ in range(40):
            link.send(b"%d" % number)
            try:
                return link.recv(100).decode()
            except (TimeoutError, ConnectionRefusedError):
                continue
        self.fail("no answer")

    def test_with_no_edge_left_it_is_refused_and_the_first_that_is_back_serves_all(self):
        for edge in EDGES.values():
            self.lab.run("fault", "kill", edge)
        with self.assertRaises(ConnectionRefusedError):
            who(self.address, self.port)
        self.assertEqual(self.held()["listeners"], 0)
        self.lab.run("fault", "start", "edge-3")
        for region in EDGES:
            self.assertEqual(who(self.address, self.port, place(region)), "there")


if __name__ == "__main__":
    unittest.main()
