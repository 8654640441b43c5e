"""The lab's answers beside those of NSD and Knot serving the same zones, one written by hand and
one at random: a few thousand questions of every sort, each asked of all three, and compared by
code, flags, answer and authority.

What may differ, since Route 53 does it so or the RFCs leave it open:
- authority of a positive answer: Route 53 and NSD put the zone's NS there, Knot nothing;
- ANY, which each may cut short as it likes (RFC 8482);
- what is left in an answer that says TC; and at sizes where additional data decide, TC itself;
- additional data, but for the glue without which a referral leads nowhere."""

import collections
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import tempfile
import unittest
import uuid

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
from lab import Lab, eventually, free_port
from names import ask, exchange

QUESTIONS = 5000
KINDS = (
    "A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "DS", "HTTPS", "TYPE65280",
)
LONG = ".".join(["x" * 63, "y" * 63, "z" * 63, "v" * 49])

RECORDS = (
    [
        ("", "A", ["192.0.2.1", "192.0.2.2"]),
        ("", "MX", ["10 mail.cmp.example.", "20 mail.elsewhere.example."]),
        ("", "TXT", ['"v=spf1 -all"']),
        ("", "CAA", ['0 issue "ca.example"', '0 iodef "mailto:a@cmp.example"']),
        ("mail", "A", ["192.0.2.3"]),
        ("mail", "AAAA", ["2001:db8::3"]),
        ("many", "A", [f"192.0.2.{number}" for number in range(100, 130)]),
        ("many", "TXT", ['"%s"' % (f"{number:04}" * 40) for number in range(12)]),
        ("_sip._tcp", "SRV", ["1 2 5060 mail.cmp.example.", "2 0 5061 nowhere.cmp.example."]),
        ("4.3.2.1", "PTR", ["mail.cmp.example."]),
        # Empty non-terminals, and wildcards around them.
        ("a.b.c.deep", "A", ["192.0.2.4"]),
        ("*.w", "A", ["192.0.2.5"]),
        ("*.w", "TXT", ['"of the wildcard"']),
        ("x.w", "A", ["192.0.2.6"]),
        ("u.v.w", "A", ["192.0.2.7"]),
        ("*.wc", "CNAME", ["mail.cmp.example."]),
        ("*.mx", "MX", ["5 mail.cmp.example."]),
        ("b.*.star", "A", ["192.0.2.8"]),
        # Chains: to their end, out of the zone, into nothing, into a wildcard, into a delegation.
        ("c1", "CNAME", ["c2.cmp.example."]),
        ("c2", "CNAME", ["c3.cmp.example."]),
        ("c3", "CNAME", ["many.cmp.example."]),
        ("out", "CNAME", ["www.elsewhere.example."]),
        ("lost", "CNAME", ["nowhere.cmp.example."]),
        ("hollow", "CNAME", ["c.deep.cmp.example."]),
        ("wild", "CNAME", ["any.thing.w.cmp.example."]),
        ("wilder", "CNAME", ["any.thing.wc.cmp.example."]),
        ("below", "CNAME", ["host.sub.cmp.example."]),
        ("apex", "CNAME", ["cmp.example."]),
        # Delegations, with glue, without, and deep.
        ("sub", "NS", ["ns1.sub.cmp.example.", "ns.elsewhere.example."]),
        ("ns1.sub", "A", ["192.0.2.53"]),
        ("ns1.sub", "AAAA", ["2001:db8::53"]),
        ("hidden.sub", "TXT", ['"below the cut"']),
        ("far.away", "NS", ["ns1.elsewhere.example.", "ns2.elsewhere.example."]),
        ("glued", "NS", ["mail.cmp.example."]),
        # Odd names.
        ("under_score", "A", ["192.0.2.9"]),
        ("a\\052b", "A", ["192.0.2.10"]),
        ("back\\134slash", "A", ["192.0.2.11"]),
        (LONG, "A", ["192.0.2.12"]),
    ]
    + [(f"lost{number}", "CNAME", ["lost.cmp.example."]) for number in range(6)]
    + [(f"h{number}", "A", [f"198.51.100.{number}"]) for number in range(1, 60)]
    + [(f"h{number}", "AAAA", [f"2001:db8:1::{number}"]) for number in range(1, 60, 2)]
)


def at_random(dice):
    """Records of a zone without a plan: wildcards, delegations within delegations, records that
    these hide, and canonical names that lead anywhere."""
    chosen = {}
    names = lambda: ".".join(dice.choices(["a", "b", "c", "w", "*"], k=dice.randrange(1, 5)))
    anywhere = lambda: dice.choice((f"{names()}.rnd.example.", "www.elsewhere.example."))
    values = {
        "A": lambda: f"192.0.2.{dice.randrange(256)}",
        "AAAA": lambda: f"2001:db8::{dice.randrange(9999)}",
        "TXT": lambda: f'"{names()}"',
        "MX": lambda: f"{dice.randrange(99)} {anywhere()}",
        "SRV": lambda: f"0 0 {dice.randrange(9999)} {anywhere()}",
        "NS": anywhere,
        "CNAME": anywhere,
    }
    for _ in range(240):
        name = names()
        kind = dice.choice(("A", "A", "A", "AAAA", "TXT", "MX", "SRV", "NS", "CNAME", "CNAME"))
        kinds = {other for record, other in chosen if record == name}
        # A delegation and a canonical name have nothing beside them; a wildcard delegates nothing.
        if kinds and (kind in ("CNAME", "NS") or kinds & {"CNAME", "NS"}):
            continue
        if kind == "NS" and name.startswith("*"):
            continue
        count = 1 if kind == "CNAME" else dice.randrange(1, 4)
        chosen[name, kind] = sorted({values[kind]() for _ in range(count)})
    return [(name, kind, texts) for (name, kind), texts in chosen.items()]


ZONES = {"cmp.example": RECORDS, "rnd.example": at_random(random.Random(1034))}


def text_of(name):
    """A name with the zone's octal escapes as a zone file has them: decimal."""
    return re.sub(r"\\([0-7]{3})", lambda found: f"\\{int(found[1], 8):03}", name)


def full(name, zone):
    return f"{name}.{zone}." if name else f"{zone}."


class Peer:
    """NSD or Knot on a free port, in a folder of its own."""

    def __init__(self, name, texts):
        self.name = name
        self.folder = tempfile.TemporaryDirectory(prefix=f"causeway-{name}-")
        folder = pathlib.Path(self.folder.name)
        self.port = free_port()
        for zone, text in texts.items():
            (folder / zone).write_text(text)
        (folder / "conf").write_text(getattr(self, name)(folder))
        daemon = {"nsd": ["nsd", "-d"], "knot": ["knotd"]}[name]
        path = os.environ["PATH"] + ":/usr/sbin"
        self.log = open(folder / "log", "ab")
        self.process = subprocess.Popen(
            [*daemon, "-c", str(folder / "conf")], cwd=folder, stdout=self.log, stderr=self.log,
            stdin=subprocess.DEVNULL, env={**os.environ, "PATH": path},
        )

    def close(self):
        """Ends it, whatever state it is in."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def serves(self):
        """Does it answer for the zone?"""
        if self.process.poll() is not None:
            log = pathlib.Path(self.folder.name, "log").read_text()
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {log}")
        try:
            server = ("127.0.0.1", self.port)
            return all(ask(server, zone, "SOA").answer for zone in ZONES)
        except OSError:
            return None

    def nsd(self, folder):
        """Its configuration."""
        zones = "".join(f'zone:\n    name: "{zone}"\n    zonefile: "{zone}"\n' for zone in ZONES)
        return f"""
server:
    ip-address: 127.0.0.1@{self.port}
    server-count: 1
    username: ""
    chroot: ""
    zonesdir: "{folder}"
    pidfile: "{folder}/pid"
    xfrdfile: "{folder}/xfrd"
    zonelistfile: "{folder}/zones"
    refuse-any: no
    rrl-ratelimit: 0
    ipv4-edns-size: 4096
remote-control:
    control-enable: no
{zones}"""

    def knot(self, folder):
        """Its configuration."""
        zones = "".join(f"  - domain: {zone}\n    file: {zone}\n" for zone in ZONES)
        user = f"{os.getuid()}:{os.getgid()}" if os.getuid() else "root:root"
        return f"""
server:
    listen: 127.0.0.1@{self.port}
    rundir: "{folder}"
    user: "{user}"
    udp-max-payload: 4096
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
control:
    listen: "{folder}/control"
database:
    storage: "{folder}/database"
log:
  - target: stderr
    any: warning
template:
  - id: default
    storage: "{folder}"
    journal-content: none
    zonefile-sync: -1
    semantic-checks: off
zone:
{zones}"""


def rows(section):
    """A section as a set of rows."""
    return {
        (records.name.to_text().lower(), records.rdtype, records.ttl, value.to_text().lower())
        for records in section
        for value in records
    }


def glue(answer):
    """The addresses of a referral's name servers that lie at or below the cut, without which it
    leads nowhere (RFC 9471)."""
    servers = {
        row[3]
        for row in rows(answer.authority)
        if row[1] == dns.rdatatype.NS and f".{row[3]}".endswith(f".{row[0]}")
    }
    return {row for row in rows(answer.additional) if row[0] in servers}


def essence(answer):
    """What must be the same of an answer."""
    authority = rows(answer.authority)
    aa = bool(answer.flags & dns.flags.AA)
    referral = not aa and any(row[1] == dns.rdatatype.NS for row in authority)
    if answer.answer and not referral:
        apexes = {(f"{zone}.", dns.rdatatype.NS) for zone in ZONES}
        authority = {row for row in authority if row[:2] not in apexes}
    return {
        "rcode": int(answer.rcode()),
        "AA": aa,
        "TC": bool(answer.flags & dns.flags.TC),
        "RD": bool(answer.flags & dns.flags.RD),
        "RA": bool(answer.flags & dns.flags.RA),
        "question": [(each.name.to_text(), each.rdtype) for each in answer.question],
        "answer": rows(answer.answer),
        "authority": authority,
        "glue": glue(answer) if referral else set(),
        "EDNS": answer.edns,
    }


class Authorities(unittest.TestCase):
    """The same zones, three servers."""

    @classmethod
    def setUpClass(cls):
        for program in ("nsd", "knotd"):
            if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"):
                raise unittest.SkipTest(f"NOT TESTED: {program} is not installed")
        cls.lab = Lab("--delay-scale", "0", "--regions", "us-east-1")
        cls.addClassCleanup(cls.lab.close)
        texts = {zone: cls.fill(zone, records) for zone, records in ZONES.items()}
        cls.servers = {"causeway": ("127.0.0.1", cls.lab.dns_port)}
        for name in ("nsd", "knot"):
            peer = Peer(name, texts)
            cls.addClassCleanup(peer.close)
            eventually(peer.serves, 15)
            cls.servers[name] = ("127.0.0.1", peer.port)

    @classmethod
    def fill(cls, zone, records):
        """Makes a zone through the API; what the API lists of it then, as a zone file."""
        route53 = cls.lab.route53()
        made = route53.create_hosted_zone(Name=zone, CallerReference=str(uuid.uuid4()))
        number = made["HostedZone"]["Id"]
        changes = [
            {"Action": "CREATE", "ResourceRecordSet": {
                "Name": full(name, zone), "Type": kind, "TTL": 100 + ttl,
                "ResourceRecords": [{"Value": value} for value in values],
            }}
            for ttl, (name, kind, values) in enumerate(records)
        ]
        made = route53.change_resource_record_sets(
            HostedZoneId=number, ChangeBatch={"Changes": changes}
        )
        waiter = route53.get_waiter("resource_record_sets_changed")
        waiter.wait(Id=made["ChangeInfo"]["Id"], WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
        pages = route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=number)
        listed = [record for page in pages for record in page["ResourceRecordSets"]]
        return "".join(
            f"{text_of(record['Name'])} {record['TTL']} IN {record['Type']} {value['Value']}\n"
            for record in listed
            for value in record["ResourceRecords"]
        )

    def questions(self, dice):
        """Questions of every sort: names that exist, and all around them."""
        kinds = {zone: collections.defaultdict(list) for zone in ZONES}
        for zone, records in ZONES.items():
            for record, its_kind, _ in records:
                kinds[zone][record].append(its_kind)
        labels = ["*", "a", "b", "c", "nowhere", "xn--nxasmq6b", "under_score", "0", "zz", "w"]

        def name(known):
            base = dice.choice(known)
            turn = dice.randrange(10)
            if turn < 5:
                return base
            if turn < 7:
                return ".".join(dice.choices(labels, k=dice.randrange(1, 4)) + [base]).strip(".")
            if turn < 8:
                return base.split(".", 1)[-1]
            if turn < 9:
                return f"{dice.choice(labels)}{dice.randrange(100)}"
            return ".".join(dice.choices(labels, k=dice.randrange(1, 5)))

        while True:
            zone = dice.choice(list(ZONES))
            chosen = name(sorted(kinds[zone]))
            text = text_of(full(chosen, zone))
            if dice.randrange(4) == 0:
                text = "".join(dice.choice((c.lower(), c.upper())) for c in text)
            try:
                asked = dns.name.from_text(text)
            except dns.exception.DNSException:
                continue
            kind = dice.choice(KINDS) if dice.randrange(2) else dice.choice(("A", "AAAA", "TXT"))
            if chosen in kinds[zone] and dice.randrange(2):
                kind = dice.choice(kinds[zone][chosen])
            payload = dice.choice((0, 512, 1232, 1232, 4096))
            query = dns.message.make_query(
                asked, kind, use_edns=0 if payload else -1, payload=payload or None,
            )
            if dice.randrange(3) == 0:
                query.flags &= ~dns.flags.RD
            yield query, dice.randrange(12) == 0

    def test_the_same_questions_get_the_same_answers(self):
        dice = random.Random(53)
        differences = collections.Counter()
        examples = {}
        tally = collections.Counter()
        questions = self.questions(dice)
        for _ in range(QUESTIONS):
            query, tcp = next(questions)
            wire = query.to_wire()
            seen = {
                name: dns.message.from_wire(exchange(server, wire, tcp=tcp))
                for name, server in self.servers.items()
            }
            found = {name: essence(answer) for name, answer in seen.items()}
            ours = found["causeway"]
            tally[ours["rcode"], ours["AA"], bool(ours["answer"]), ours["TC"]] += 1
            for peer in ("nsd", "knot"):
                for field in self.differing(ours, found[peer]):
                    differences[peer, field] += 1
                    examples.setdefault((peer, field), []).append(
                        f"{query.question[0]} tcp={tcp} edns={query.payload}\n"
                        f"  causeway {ours[field]}\n  {peer} {found[peer][field]}"
                    )
        # Every sort of answer was among them.
        for sort in ((0, True, True, False), (0, True, False, False), (3, True, False, False),
                     (3, True, True, False), (0, False, False, False)):
            self.assertGreater(tally[sort], 20, tally)
        self.assertTrue(any(sort[3] for sort in tally), tally)
        shown = "\n".join(example for each in examples.values() for example in each[:4])
        self.assertEqual(differences, collections.Counter(), shown)

    def differing(self, ours, theirs):
        """The fields that differ, but for what may."""
        if ours["TC"] or theirs["TC"]:
            ours, theirs = ({k: f[k] for k in ("rcode", "RD", "RA", "TC", "question")}
                            for f in (ours, theirs))
        return [field for field in ours if ours[field] != theirs[field]]


if __name__ == "__main__":
    unittest.main()
