"""Draining an edge: what it has goes on, what is new comes to the next nearest and none of it fails,
until it is brought back. By the operator's command, and by the signal that asks it to end."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from accelerators import Accelerators, addresses, who
from lab import CAUSEWAY, Lab, eventually
from names import place
from test_edges import Load

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"


class Command:
    """A `causeway` command that goes on beside the test; what it says, and how it ends."""

    def __init__(self, lab, *words):
        self.process = subprocess.Popen(
            [CAUSEWAY, *words, "--data", str(lab.data)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self):
        """Its exit code, stdout and stderr, once it has ended."""
        said, told = self.process.communicate(timeout=60)
        return self.process.returncode, said, told


class Drained(Accelerators):
    """A lab of two Regions with an edge each, and an accelerator of both protocols."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--regions", f"{VIRGINIA},{IRELAND}", "--edges", "2", "--delay-scale", "0",
                      "--health-interval", "200ms")
        cls.addClassCleanup(cls.lab.close)
        cls.serve_both_protocols("127.5.12.1")

    def connect(self, region):
        """A long flow from that place."""
        link = socket.create_connection((self.address, self.port), 5, (place(region), 0))
        self.addCleanup(link.close)
        link.settimeout(5)
        self.assertEqual(link.recv(64), b"there\n")
        return link

    def lives(self, link, said=b"still there"):
        link.sendall(said)
        received = b""
        while len(received) < len(said):
            more = link.recv(64)
            self.assertTrue(more, "the flow has ended")
            received += more
        self.assertEqual(received, said)

    def came(self, protocol="TCP"):
        """How many flows have come to each edge."""
        edges = self.lab.json("flows")["edges"]
        return {edge["edge"]: sum(row["flows"] for row in edge["listeners"]
                                  if row["protocol"] == protocol) for edge in edges}

    def edge_of(self, region):
        """The edge that a new connection from there comes to."""
        before = self.came()
        who(self.address, self.port, place(region))

        def risen():
            after = self.came()
            return [edge for edge, count in after.items() if count > before.get(edge, 0)]

        return eventually(risen)[0]

    def site(self, edge):
        sites = self.lab.json("status")["sites"]
        return next(site for site in sites if site["site"] == edge)

    def state(self, edge):
        return self.site(edge)["state"]

    def answers(self, region):
        """The edge that answers names for a client there."""
        return self.lab.json("explain", "drained.example.com", "--from", region)["edge"]


class ByCommand(Drained, unittest.TestCase):
    """By `causeway edge drain`."""

    def tearDown(self):
        self.lab.run("fault", "heal")
        for edge in ("edge-1", "edge-2"):
            self.lab.run("edge", "undrain", edge)
            eventually(lambda: self.state(edge) == "running")
        eventually(lambda: self.edge_of(IRELAND) == "edge-2")

    def test_a_long_flow_survives_the_drain_and_every_new_one_goes_elsewhere(self):
        held = self.connect(IRELAND)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
            talk.bind((place(IRELAND), 0))
            talk.settimeout(5)
            talk.connect((self.address, self.port))
            asked = lambda said: (talk.send(said), talk.recv(64))[1]
            self.assertEqual(asked(b"1"), b"there 1")
            load = Load(self.address, self.port, place(IRELAND))
            time.sleep(0.5)
            drain = Command(self.lab, "edge", "drain", IRELAND, "--within", "50s")
            eventually(lambda: self.state("edge-2") == "draining")
            # By now nothing new comes there; by both protocols what it has stays.
            eventually(lambda: self.edge_of(IRELAND) == "edge-1")
            before = (self.came()["edge-2"], self.came("UDP"))
            time.sleep(1.5)
            self.assertEqual(asked(b"2"), b"there 2")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as fresh:
                fresh.bind((place(IRELAND), 0))
                fresh.settimeout(5)
                fresh.connect((self.address, self.port))
                fresh.send(b"3")
                self.assertEqual(fresh.recv(64), b"there 3")
            after = (self.came()["edge-2"], self.came("UDP"))
            self.assertEqual(after[0], before[0], "no new connection")
            self.assertEqual(after[1], {"edge-1": before[1]["edge-1"] + 1,
                                        "edge-2": before[1]["edge-2"]}, "no new conversation")
            self.lives(held)
            self.assertIsNone(drain.process.poll())
            self.assertEqual(self.state("edge-2"), "draining")
            self.assertEqual(self.answers(IRELAND), "edge-2", "it answers names until it is drained")
            outcomes = load.stop()
            self.assertGreater(len(outcomes), 80)
            self.assertEqual([one for one in outcomes if one[2]], [], "none has failed")
            held.close()
            # The conversation ends when it has been silent for 30 s: the deadline comes later.
            code, said, told = drain.end()
        self.assertEqual((code, said), (0, "edge-2 is drained\n"), told)
        self.assertIn("edge-2 drains: ", told)
        self.assertRegex(told, r"1 flow left, [0-9]+s to go at most")
        self.assertEqual(self.state("edge-2"), "drained")
        self.assertEqual(self.answers(IRELAND), "edge-1")

        # Again, it is so already; and it stays so when it starts again, and when the lab does.
        view = self.lab.json("edge", "drain", "edge-2")
        self.assertEqual((view["state"], view["flows_left"]), ("drained", 0))
        self.lab.run("fault", "kill", "edge-2")
        self.assertEqual(self.state("edge-2"), "killed")
        self.lab.run("fault", "start", "edge-2")
        self.assertEqual(self.state("edge-2"), "drained")
        self.assertEqual(self.edge_of(IRELAND), "edge-1")
        self.lab.stop()
        self.lab.start()
        eventually(lambda: self.state("edge-2") == "drained")
        eventually(lambda: who(self.address, self.port, place(IRELAND)) == "there")
        self.assertEqual(self.edge_of(IRELAND), "edge-1")

        # Brought back it has its clients again.
        self.assertEqual(self.lab.run("edge", "undrain", "edge-2").stdout,
                         "edge-2 is given new flows\n")
        view = self.lab.json("edge", "undrain", "edge-2")
        self.assertEqual((view["edge"], view["state"]), ("edge-2", "serving"))
        self.assertEqual(self.edge_of(IRELAND), "edge-2")
        self.assertEqual(self.answers(IRELAND), "edge-2")

    def test_flows_that_are_left_at_the_deadline_are_told_and_go_on(self):
        held = [self.connect(IRELAND) for _ in range(2)]
        ended = self.lab.run("edge", "drain", "edge-2", "--within", "1s", check=False)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("2 flows of edge-2 were left at the deadline", ended.stderr)
        self.assertEqual(self.state("edge-2"), "drained")
        for link in held:
            self.lives(link)
        held[0].close()
        # With more time, and fewer flows.
        ended = self.lab.run("edge", "drain", "edge-2", "--within", "1s", "--json", check=False)
        self.assertEqual(ended.returncode, 1)
        view = json.loads(ended.stdout)
        self.assertEqual((view["state"], view["flows_left"]), ("drained", 1))
        self.assertEqual(json.loads(ended.stderr)["exit_code"], 1)
        self.lives(held[1])
        # Who undrains it ends the wait.
        drain = Command(self.lab, "edge", "drain", "edge-2")
        eventually(lambda: self.state("edge-2") == "draining")
        self.lab.run("edge", "undrain", "edge-2")
        code, _, told = drain.end()
        self.assertEqual(code, 1)
        self.assertIn("edge-2 was given new flows again meanwhile", told)
        self.lives(held[1])

    def test_a_drain_whose_caller_goes_is_carried_out_and_undraining_mends_the_directory(self):
        announced = self.lab.data / "edge-2" / "announced"
        announced.write_text("by the test\n")
        self.addCleanup(announced.unlink, missing_ok=True)
        drain = Command(self.lab, "edge", "drain", "edge-2")
        eventually(lambda: self.state("edge-2") == "draining")
        # It waits for whoever announces the edge to withdraw it; nobody waits for it any more.
        drain.process.kill()
        drain.end()
        announced.unlink()
        eventually(lambda: self.state("edge-2") == "drained")
        self.assertEqual(self.edge_of(IRELAND), "edge-1")
        self.lab.run("edge", "undrain", "edge-2")
        self.assertEqual(self.edge_of(IRELAND), "edge-2")

        # A record that nobody here knows of keeps the edge withdrawn: undraining takes it away.
        record = self.lab.data / "edge-2" / "drain.toml"
        for text in ('format = 1\nby = "operator"\nforced = false\n', "format = 99\n"):
            record.write_text(text)
            self.lab.run("edge", "undrain", "edge-2")
            self.assertFalse(record.exists(), text)

    def test_a_drain_that_can_t_be_written_down_leaves_the_one_before_as_it_is(self):
        held = self.connect(IRELAND)
        drain = Command(self.lab, "edge", "drain", "edge-2", "--within", "60s")
        eventually(lambda: self.state("edge-2") == "draining")
        # What the record is written to first can't be: as on a disk that is full.
        obstacle = self.lab.data / "edge-2" / "drain.new"
        obstacle.mkdir()
        failed = self.lab.run("edge", "drain", "edge-2", check=False)
        self.assertEqual(failed.returncode, 1, failed.stderr)
        self.assertIn("drain.toml", failed.stderr)
        self.assertEqual(self.state("edge-2"), "draining")
        self.lives(held)
        held.close()
        code, said, told = drain.end()
        self.assertEqual((code, said), (0, "edge-2 is drained\n"), told)
        self.assertEqual(self.state("edge-2"), "drained")
        # Neither is an edge drained by one that comes first.
        self.lab.run("edge", "undrain", "edge-2")
        self.assertEqual(self.lab.run("edge", "drain", "edge-2", check=False).returncode, 1)
        self.assertEqual(self.state("edge-2"), "running")
        self.assertIsNone(self.site("edge-2")["note"])
        obstacle.rmdir()

    def test_the_last_edge_is_drained_only_by_force(self):
        self.lab.run("edge", "drain", "edge-2")
        refused = self.lab.run("edge", "drain", "edge-1", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("edge-1 is the last edge that takes new flows", refused.stderr)
        self.assertEqual(self.state("edge-1"), "running")
        self.assertEqual(who(self.address, self.port, place(VIRGINIA)), "there")
        # Neither does a killed one count as another.
        self.lab.run("edge", "undrain", "edge-2")
        self.lab.run("fault", "kill", "edge-2")
        self.assertEqual(self.lab.run("edge", "drain", "edge-1", check=False).returncode, 2)
        held = self.connect(VIRGINIA)
        ended = self.lab.run("edge", "drain", "edge-1", "--force", "--within", "500ms",
                             check=False)
        self.assertEqual(ended.returncode, 1, ended.stderr)
        with self.assertRaises(OSError):
            who(self.address, self.port, place(VIRGINIA))
        self.lives(held)
        self.lab.run("edge", "undrain", "edge-1")
        self.assertEqual(who(self.address, self.port, place(VIRGINIA)), "there")
        # What makes no sense.
        for words, said in (
            (["drain", "ap-southeast-1"], "no edge of this lab is in ap-southeast-1"),
            (["drain", "edge-9"], "this lab has no site edge-9"),
            (["undrain", "edge-9"], "this lab has no site edge-9"),
        ):
            refused = self.lab.run("edge", *words, check=False)
            self.assertEqual(refused.returncode, 2, words)
            self.assertIn(said, refused.stderr)


class BySignal(Drained, unittest.TestCase):
    """By SIGTERM at the edge's process."""

    def test_a_long_flow_survives_the_signal_until_it_ends_and_then_the_process_does(self):
        held = self.connect(IRELAND)
        load = Load(self.address, self.port, place(IRELAND))
        time.sleep(0.5)
        process = self.lab.processes()["edge-2"]
        os.kill(process, signal.SIGTERM)
        eventually(lambda: self.state("edge-2") == "draining")
        eventually(lambda: self.edge_of(IRELAND) == "edge-1")
        before = self.came()["edge-2"]
        time.sleep(1.5)
        self.assertEqual(self.came()["edge-2"], before, "no new connection")
        self.lives(held)
        held.close()
        # In order: nothing that anybody must look at.
        eventually(lambda: self.state("edge-2") == "stopped")
        site = self.site("edge-2")
        self.assertIsNone(site["reason"])
        self.assertIn("it ended as a signal asked it to", site["note"])
        self.assertNotIn("its log says why", self.lab.run("status").stdout)
        time.sleep(0.5)
        self.assertEqual([one for one in load.stop() if one[2]], [], "none has failed")
        # It wasn't the operator's wish: started again, it serves.
        self.lab.run("fault", "start", "edge-2")
        eventually(lambda: self.edge_of(IRELAND) == "edge-2")

        # A second signal doesn't wait.
        held = self.connect(IRELAND)
        process = self.lab.processes()["edge-2"]
        os.kill(process, signal.SIGTERM)
        eventually(lambda: self.state("edge-2") == "draining")
        os.kill(process, signal.SIGTERM)
        eventually(lambda: self.state("edge-2") == "stopped")
        self.lab.run("fault", "start", "edge-2")
        eventually(lambda: self.edge_of(IRELAND) == "edge-2")

        # One that ended by anything else did crash.
        os.kill(self.lab.processes()["edge-2"], signal.SIGKILL)
        eventually(lambda: self.state("edge-2") == "crashed")
        self.assertIn("its log says why", self.lab.run("status").stdout)
        self.lab.run("fault", "start", "edge-2")

    def test_who_brings_back_an_edge_that_ends_has_it_announced_no_sooner_than_it_is_started(self):
        record = self.lab.data / "edge-2" / "drain.toml"
        held = self.connect(IRELAND)
        drain = Command(self.lab, "edge", "drain", "edge-2", "--within", "60s")
        eventually(lambda: self.state("edge-2") == "draining")
        self.assertIn('by = "operator"', record.read_text())
        os.kill(self.lab.processes()["edge-2"], signal.SIGTERM)
        leaving = lambda: (self.site("edge-2")["detail"]["flows"] or {}).get("leaving")
        eventually(leaving)
        refused = self.lab.run("edge", "undrain", "edge-2", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("edge-2 is ending: its process was asked to by a signal", refused.stderr)
        # An announcer beside it goes by this file.
        self.assertIn('by = "signal"', record.read_text())
        self.assertEqual(drain.end()[0], 1, "it was given new flows again meanwhile")
        # Whatever takes it away while the process ends, it is there again.
        record.unlink()
        eventually(lambda: record.exists() and 'by = "signal"' in record.read_text())
        self.lives(held)
        held.close()
        eventually(lambda: self.state("edge-2") == "stopped")
        self.lab.run("fault", "start", "edge-2")
        eventually(lambda: self.edge_of(IRELAND) == "edge-2")
        self.assertFalse(record.exists())


@unittest.skipUnless(shutil.which("bird") and shutil.which("birdc"),
                     "NOT TESTED: bird is not installed")
class Announced(Drained, unittest.TestCase):
    """An edge that `causeway announce` stands beside: first it is withdrawn, then drained."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.TemporaryDirectory(prefix="causeway-draining-")
        cls.addClassCleanup(cls.folder.cleanup)
        path = cls.path = pathlib.Path(cls.folder.name)
        dns = {site["site"]: site["dns"] for site in cls.lab.json("status")["sites"]}
        (path / "announce.toml").write_text(f"""
            control_socket = "{path}/bird.ctl"
            bird_configuration = "{path}/bird.conf"
            router_id = "192.0.2.1"
            prefixes = ["203.0.113.0/24"]
            edge = "{cls.lab.data}/edge-2"
            checks = ["dns:{dns["edge-2"]}"]
            others = ["dns:{dns["edge-1"]}"]
        """)
        cls.log = open(path / "log", "ab")
        cls.addClassCleanup(cls.log.close)
        cls.announcer = cls.start(CAUSEWAY, "announce", "--config", str(path / "announce.toml"))
        eventually((path / "bird.conf").exists)
        cls.start("bird", "-f", "-c", str(path / "bird.conf"), "-s", str(path / "bird.ctl"),
                  "-P", str(path / "bird.pid"))
        eventually(lambda: cls.is_announced())

    @classmethod
    def start(cls, *words):
        process = subprocess.Popen(words, stdout=cls.log, stderr=cls.log,
                                   stdin=subprocess.DEVNULL)
        cls.addClassCleanup(process.wait, 20)
        cls.addClassCleanup(process.kill)
        return process

    @classmethod
    def is_announced(cls):
        """What BIRD says, and whether the edge has been told."""
        told = subprocess.run(["birdc", "-s", str(cls.path / "bird.ctl"), "show", "protocols"],
                              capture_output=True, text=True, timeout=20).stdout
        line = next((line for line in told.splitlines() if "causeway4" in line), "")
        return " up " in line and (cls.lab.data / "edge-2" / "announced").exists()

    def said(self):
        return (self.path / "log").read_text()

    def taken_while_announced(self, do):
        """When it was withdrawn, seen every few ms, and when nothing new came to the edge, seen a
        little later than it was so."""
        ended = threading.Event()
        withdrawn = []

        def look():
            while not ended.is_set() and not withdrawn:
                if not (self.lab.data / "edge-2" / "announced").exists():
                    withdrawn.append(time.monotonic())
                time.sleep(0.005)

        def closed():
            edges = self.lab.json("flows")["addresses"]["edges"]
            return any(edge["draining"] for edge in edges)

        thread = threading.Thread(target=look)
        thread.start()
        do()
        eventually(closed)
        at = time.monotonic()
        ended.set()
        thread.join()
        self.assertTrue(withdrawn, "it is closed, and still announced")
        return withdrawn[0], at

    def test_an_edge_is_withdrawn_before_it_is_drained_and_announced_when_it_is_back(self):
        held = self.connect(IRELAND)
        drains = []
        begin = lambda: drains.append(Command(self.lab, "edge", "drain", "edge-2"))
        withdrawn, closed = self.taken_while_announced(begin)
        self.assertLess(withdrawn, closed - 0.5, "routers have a second to know")
        self.assertFalse(self.is_announced())
        self.assertIn("withdrawn: its edge is drained", self.said())
        self.lives(held)
        held.close()
        self.assertEqual(drains[0].end()[0], 0)
        self.lab.run("edge", "undrain", "edge-2")
        eventually(self.is_announced)
        self.assertEqual(self.edge_of(IRELAND), "edge-2")

        # With nobody else in sight it stays announced, and isn't drained.
        self.lab.run("fault", "kill", "edge-1")
        refused = self.lab.run("edge", "drain", "edge-2", check=False)
        self.assertEqual(refused.returncode, 2, "it is the lab's last")
        self.lab.run("fault", "heal")
        eventually(lambda: self.edge_of(VIRGINIA) == "edge-1")

        # An announcer that says nothing more is noticed: the edge goes on, unless it is forced.
        self.announcer.send_signal(signal.SIGSTOP)
        self.addCleanup(self.announcer.send_signal, signal.SIGCONT)
        refused = self.lab.run("edge", "drain", "edge-2", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("hasn't withdrawn its addresses", refused.stderr)
        self.assertEqual(self.edge_of(IRELAND), "edge-2")
        self.lab.run("edge", "drain", "edge-2", "--force")
        self.assertEqual(self.state("edge-2"), "drained")
        self.announcer.send_signal(signal.SIGCONT)
        eventually(lambda: not self.is_announced())
        self.lab.run("edge", "undrain", "edge-2")
        eventually(self.is_announced)

        # By a signal it is the same.
        held = self.connect(IRELAND)
        process = self.lab.processes()["edge-2"]
        term = lambda: os.kill(process, signal.SIGTERM)
        withdrawn, closed = self.taken_while_announced(term)
        self.assertLess(withdrawn, closed - 0.5)
        self.lives(held)
        held.close()
        eventually(lambda: self.state("edge-2") == "stopped")
        self.assertFalse(self.is_announced())
        self.lab.run("fault", "start", "edge-2")
        eventually(self.is_announced)


if __name__ == "__main__":
    unittest.main()
