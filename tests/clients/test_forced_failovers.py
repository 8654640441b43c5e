"""A global cluster of three Regions, one of which is cut off from the other two and is made a
writer there by force: both sides take rows, both say so, and once they are joined again each row
that was acknowledged is at the one writer or in `causeway databases lost`. First what was forced
gives way to the old writer, which went on, then to what the others chose meanwhile."""

import re
import time
import unittest

import test_global_databases as pair
import test_global_failovers as world
from botocore.exceptions import ClientError
from databases import NOT_TESTED, POSTGRES, servers
from lab import Lab, eventually
from test_global_failovers import APART, REGIONS, WORLD, arn

VIRGINIA, IRELAND, OREGON = REGIONS
WENT_ON = 22
LOSES = {"GlobalClusterIdentifier": WORLD, "AllowDataLoss": True}


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class ForcedFailovers(unittest.TestCase):
    """One lab for both rounds: what the first leaves behind is what the second finds."""

    create = world.Failovers.create
    is_made = world.Failovers.is_made
    cluster = world.Failovers.cluster
    is_in_step = world.Failovers.is_in_step
    has_all = world.Failovers.has_all

    def setUp(self):
        # No edge: the three Regions are all who vote.
        self.lab = Lab("--regions", ",".join(REGIONS), "--edges", "0")
        self.addCleanup(self.lab.close)
        self.rds = {region: self.lab.client(region, "rds") for region in REGIONS}
        eventually(self.makes_the_world)
        self.create(VIRGINIA, MasterUsername="master", MasterUserPassword=pair.PASSWORD,
                    DatabaseName="orders")
        self.is_made(VIRGINIA)
        for region in (IRELAND, OREGON):
            self.create(region)
        for region in (IRELAND, OREGON):
            self.is_made(region)
        self.address = {region: self.cluster(region)["Endpoint"] for region in REGIONS}
        self.current, self.acknowledged, self.unknown, self.turn = VIRGINIA, set(), set(), 0
        with pair.connect(self.address[VIRGINIA]) as connection:
            connection.execute("create table rows (id int primary key)")
        for region in REGIONS:
            eventually(lambda region=region: self.is_in_step(region), 90)

    def makes_the_world(self):
        """Makes the global cluster, once the council can decide."""
        client = self.rds[VIRGINIA]
        try:
            client.create_global_cluster(
                GlobalClusterIdentifier=WORLD, Engine="aurora-postgresql")
        except client.exceptions.GlobalClusterAlreadyExistsFault:
            return True
        except ClientError as error:
            self.assertGreaterEqual(error.response["ResponseMetadata"]["HTTPStatusCode"], 400)
        return False

    def test_both_sides_take_rows_and_none_is_lost_without_a_name(self):
        self.cut_off_and_forced(OREGON)
        self.heals()
        eventually(lambda: self.writers(OREGON) == [VIRGINIA], 60)
        self.is_whole()
        self.cut_off_and_forced(IRELAND, moves_on=OREGON)
        self.heals()
        eventually(lambda: self.writers(IRELAND) == [OREGON], 60)
        self.current = OREGON
        self.is_whole()
        self.lab.stop()
        eventually(lambda: servers(self.lab.data) == set(), 20)

    def cut_off_and_forced(self, region, moves_on=None):
        """Cuts a Region off, has it made a writer there, and has rows written on both sides; the
        others may have another one of them write meanwhile."""
        others = [it for it in REGIONS if it != region]
        old = self.load(self.current)
        eventually(lambda: len(old.acknowledged) > 50, 30)
        for other in others:
            self.lab.run("fault", "cut", region, other)
        begun = time.monotonic()
        forced = self.load(region)
        elsewhere = {**LOSES, "TargetDbClusterIdentifier": arn(others[0])}
        eventually(lambda: self.refused(region, elsewhere) == "InvalidGlobalClusterStateFault")
        in_order = {"GlobalClusterIdentifier": WORLD, "TargetDbClusterIdentifier": arn(region)}
        self.assertEqual(self.refused(region, in_order), "InvalidGlobalClusterStateFault")
        asked = time.monotonic()
        self.rds[region].failover_global_cluster(TargetDbClusterIdentifier=arn(region), **LOSES)
        eventually(lambda: len(forced.acknowledged) > 50, 30)
        first = min(forced.acknowledged.values())
        print(f"{region}: {first - asked:.2f} s from the call to the first row by force, "
              f"{first - begun:.2f} s from the cut")
        before = len(old.acknowledged)
        eventually(lambda: len(old.acknowledged) > before + 20, 30)
        self.assertEqual(self.writers(region), sorted([self.current, region]), "both may write")
        self.assertEqual(self.writers(others[0]), [self.current])
        said = self.lab.run("databases", "list", check=False).stdout
        self.assertIn("may write as well", said)
        alarms = lambda: self.lab.run("status", "--json", check=False).stdout
        eventually(lambda: "was made a writer by force" in alarms())
        if moves_on:
            self.rds[moves_on].failover_global_cluster(
                TargetDbClusterIdentifier=arn(moves_on), **LOSES)
            new = self.load(moves_on)
            eventually(lambda: len(new.acknowledged) > 50, 60)
        else:
            # By more renewals of its lease than ten the old writer went on.
            time.sleep(max(0, begun + WENT_ON - time.monotonic()))

    def load(self, region):
        """Has rows written through that Region's writer endpoint whenever it takes them."""
        self.turn += 1
        writer = pair.Writer(self.address[region], self.turn * APART, every=0.01)
        self.addCleanup(writer.stop)
        self.loads = [*getattr(self, "loads", []), writer]
        return writer

    def refused(self, region, parameters):
        """The code that a failover is refused with there; None: it isn't."""
        try:
            self.rds[region].failover_global_cluster(**parameters)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return None

    def writers(self, asked):
        """The Regions whose members write, as that Region has it."""
        found = self.rds[asked].describe_global_clusters(GlobalClusterIdentifier=WORLD)
        members = found["GlobalClusters"][0]["GlobalClusterMembers"]
        return sorted(it["DBClusterArn"].split(":")[3] for it in members if it["IsWriter"])

    def heals(self):
        """Joins all Regions again."""
        self.healed = time.monotonic()
        self.lab.run("fault", "heal")

    def is_whole(self):
        """All follow the writer, which alone takes rows, and every row is there or is listed."""
        for region in REGIONS:
            try:
                eventually(lambda region=region: self.is_in_step(region), 120)
            except AssertionError:
                plan = self.lab.run("databases", "plan", check=False).stdout
                raise AssertionError(f"{region} isn't in step:\n{plan}") from None
        print(f"all follow {self.current} {time.monotonic() - self.healed:.2f} s after the heal")
        eventually(lambda: not self.forced(), 30)
        for writer in self.loads:
            writer.stop()
            self.acknowledged |= set(writer.acknowledged)
            self.unknown |= writer.unknown
        self.loads = []
        with pair.connect(self.address[self.current]) as connection:
            kept = {row[0] for row in connection.execute("select id from rows")}
        sql = self.lab.run("databases", "lost", "--sql").stdout
        listed = {int(number) for number in re.findall(r" VALUES \('(\d+)'\)", sql)}
        lost = self.acknowledged - kept
        print(f"{len(self.acknowledged)} rows acknowledged, {len(lost)} lost, {len(listed)} listed")
        self.assertGreater(len(lost), 20, "both sides wrote, and one of them lost")
        self.assertEqual(lost - listed, set(), "lost, and named nowhere")
        self.assertEqual(listed - self.acknowledged - self.unknown, set(), "nobody wrote these")
        self.assertEqual(kept - self.acknowledged - self.unknown, set(), "nobody wrote these")
        for region in REGIONS:
            reader = self.cluster(region)["ReaderEndpoint"]
            eventually(lambda reader=reader: self.has_all(reader, kept), 30)

    def forced(self):
        """The instances of which it is said that they were forced, and aren't settled."""
        rows = self.lab.json("databases", "list")["databases"]
        return [row["instance"] for row in rows if row.get("forced")]


if __name__ == "__main__":
    unittest.main()
