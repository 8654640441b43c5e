"""A global cluster of three Regions that changes its writer again and again, under load:
switchovers, failovers from a writer that lives and from one whose Region is dead, and two failovers
in a row; amid some of them wall clocks jump by an hour. After all of it each acknowledged row is there, or is named by `causeway databases lost`,
and at no time did two Regions acknowledge rows."""

import itertools
import re
import threading
import time
import unittest

import test_global_databases as pair
from botocore.exceptions import ClientError
from databases import NOT_TESTED, PASSWORD, POSTGRES, in_status, servers
from lab import Lab, eventually

WORLD = "world"
REGIONS = ("us-east-1", "eu-west-1", "us-west-2")
# Has no database: with it and the edge there is a majority while two Regions are dead.
VOTER = "eu-central-1"
# In milliseconds: how far wall clocks jump.
HOUR = 3_600_000
# Numbers of rows, apart by the Region that took them and the time that its writer was started.
APART = 1_000_000


def name(region):
    """The member's name in that Region."""
    return f"orders-{region}"


def arn(region):
    """The member's ARN."""
    return f"arn:aws:rds:{region}:111122223333:cluster:{name(region)}"


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class Failovers(unittest.TestCase):
    """One lab for all of it: what one move leaves behind is what the next one finds."""

    def setUp(self):
        self.lab = Lab("--regions", ",".join([*REGIONS, VOTER]), "--edges", "1")
        self.addCleanup(self.lab.close)
        self.rds = {region: self.lab.client(region, "rds") for region in (*REGIONS, VOTER)}
        eventually(self.makes_the_world)
        self.create(REGIONS[0], MasterUsername="master", MasterUserPassword=PASSWORD,
                    DatabaseName="orders")
        self.is_made(REGIONS[0])
        for region in REGIONS[1:]:
            self.create(region)
        for region in REGIONS[1:]:
            self.is_made(region)
        self.address = {region: self.cluster(region)["Endpoint"] for region in REGIONS}
        with pair.connect(self.address[REGIONS[0]]) as connection:
            connection.execute("create table rows (id int primary key)")
        self.writers, self.dead = [], set()
        # Who is to acknowledge rows, in turn, and whether it is sure to.
        self.turns = [(REGIONS[0], True)]
        self.current = REGIONS[0]
        for region in REGIONS:
            eventually(lambda region=region: self.is_in_step(region), 90)
        for region in REGIONS:
            self.load(region)
        eventually(lambda: self.count(self.current) > 50)

    def makes_the_world(self):
        """Makes the global cluster, once the council can decide."""
        client = self.rds[VOTER]
        try:
            client.create_global_cluster(
                GlobalClusterIdentifier=WORLD, Engine="aurora-postgresql")
        except client.exceptions.GlobalClusterAlreadyExistsFault:
            return True
        except ClientError as error:
            self.assertGreaterEqual(error.response["ResponseMetadata"]["HTTPStatusCode"], 400)
        return False

    def create(self, region, **changes):
        """Makes a member in that Region, with its instance."""
        client = self.rds[region]
        client.create_db_cluster(
            DBClusterIdentifier=name(region), Engine="aurora-postgresql",
            GlobalClusterIdentifier=WORLD, **changes)
        client.create_db_instance(
            DBInstanceIdentifier=f"{name(region)}-1", DBClusterIdentifier=name(region),
            DBInstanceClass="db.r6g.large", Engine="aurora-postgresql")

    def is_made(self, region):
        """Waits until the member's instance is available."""
        in_status(self.rds[region], f"{name(region)}-1", seconds=120)

    def cluster(self, region):
        """What is described of the member in that Region."""
        client = self.rds[region]
        return client.describe_db_clusters(DBClusterIdentifier=name(region))["DBClusters"][0]

    def load(self, region):
        """Has rows written through that Region's writer endpoint whenever it takes them."""
        writer = pair.Writer(self.address[region], len(self.writers) * APART, every=0.01)
        writer.region = region
        self.addCleanup(writer.stop)
        self.writers.append(writer)

    def count(self, region):
        """How many rows that Region has acknowledged."""
        return sum(len(it.acknowledged) for it in self.writers if it.region == region)

    def is_in_step(self, region):
        """Is that member the writer, or does it follow the writer closely?"""
        listed = self.lab.run("databases", "list", "--json", check=False)
        if listed.returncode:
            return False
        rows = self.lab.json("databases", "list")["databases"]
        row = next((it for it in rows if it["instance"] == f"{name(region)}-1"), {})
        late = row.get("lag_milliseconds")
        follows = row.get("replication") == "streaming" and late is not None and late < 1000
        return follows or (region == self.current and row.get("role") == "primary")

    def is_writer(self, region):
        """Is that member the writer, and nothing under way?"""
        found = self.rds[VOTER].describe_global_clusters(GlobalClusterIdentifier=WORLD)
        world = found["GlobalClusters"][0]
        writers = [it["DBClusterArn"] for it in world["GlobalClusterMembers"] if it["IsWriter"]]
        return writers == [arn(region)] and not world.get("FailoverState")

    def asks(self, to, how):
        """Asks for a move until there is a majority to decide."""
        changes = {"AllowDataLoss": True} if how == "failover" else {}
        ask = self.rds[VOTER].switchover_global_cluster
        if how == "failover":
            ask = self.rds[VOTER].failover_global_cluster
        try:
            ask(GlobalClusterIdentifier=WORLD, TargetDbClusterIdentifier=arn(to), **changes)
        except ClientError as error:
            print(f"not yet: {error}")
            return False
        return True

    def move(self, to, how, kill=False, instead_of=None, jump=None):
        """Moves the writer to that Region; the old one's Region is dead by then or lives. It may
        have been asked to go elsewhere a moment before. Wall clocks may jump by so many
        milliseconds amid it: the old writer's so far ahead, the new one's as far back."""
        old, before = self.current, self.count(to)
        clocks = threading.Thread(target=self.set_off, args=(old, to, jump)) if jump else None
        self.dead |= {old} if kill else set()
        if kill:
            self.lab.run("fault", "kill", old)
        if instead_of:
            eventually(lambda: self.asks(instead_of, how), 30)
            self.turns.append((instead_of, False))
        if clocks:
            clocks.start()
        eventually(lambda: self.asks(to, how), 30)
        asked = time.monotonic()
        # More than one row, so that the next move finds a writer under load.
        eventually(lambda: self.count(to) > before + 20, 90)
        eventually(lambda: self.is_writer(to), 60)
        if clocks:
            clocks.join()
        first = min(at for it in self.writers if it.region == to
                    for at in list(it.acknowledged.values()) if at > asked)
        self.turns.append((to, True))
        self.current = to
        kind = f"{how}, {'dead' if kill else 'alive'}"
        print(f"{kind}: {old} to {to}: {first - asked:.2f} s to the first write there")

    def set_off(self, old, to, by):
        """Has the wall clocks of both Regions jump, until what is faulty is healed."""
        self.lab.run("fault", "clock", to, str(-by))
        self.lab.run("fault", "clock", old, str(by))

    def heal(self):
        """Starts the Regions that are dead; waits until every member follows."""
        begun = time.monotonic()
        self.lab.run("fault", "heal")
        eventually(lambda: self.lab.run("status", check=False).returncode == 0, 60)
        for region in REGIONS:
            try:
                eventually(lambda region=region: self.is_in_step(region), 120)
            except AssertionError:
                plan = self.lab.run("databases", "plan", check=False).stdout
                raise AssertionError(f"{region} isn't in step:\n{plan}") from None
        who = sorted(self.dead) or "the old writer"
        print(f"{who} back after {time.monotonic() - begun:.2f} s")
        self.dead = set()

    def test_no_row_is_lost_without_a_name_and_no_two_regions_write_at_once(self):
        virginia, ireland, oregon = REGIONS
        self.move(ireland, "switchover", jump=HOUR)
        self.heal()
        self.move(oregon, "failover", jump=-HOUR)
        self.heal()
        # Another one takes over than the one that was asked first.
        self.move(virginia, "failover", kill=True, instead_of=ireland)
        self.heal()
        # Twice in a row: the second before the first old writer is back, which stays dead.
        self.move(ireland, "failover", kill=True)
        self.move(oregon, "failover", kill=True)
        self.heal()
        # Twice in a row among the living: nobody has come back when the second comes.
        self.move(virginia, "failover")
        self.move(ireland, "failover")
        self.heal()
        self.move(oregon, "switchover")
        self.heal()
        self.move(virginia, "switchover")
        self.heal()
        for writer in self.writers:
            writer.stop()
        self.check_every_row()
        self.check_that_writers_took_turns()
        self.lab.stop()
        eventually(lambda: servers(self.lab.data) == set(), 20)

    def check_every_row(self):
        """Each acknowledged row is at the writer, and at the readers, or is in the list; what is
        in the list and nowhere else was acknowledged, or its answer never came."""
        acknowledged, unknown = set(), set()
        for writer in self.writers:
            acknowledged |= set(writer.acknowledged)
            unknown |= writer.unknown
        with pair.connect(self.address[self.current]) as connection:
            kept = {row[0] for row in connection.execute("select id from rows")}
        sql = self.lab.run("databases", "lost", "--sql").stdout
        listed = {int(number) for number in re.findall(r" VALUES \('(\d+)'\)", sql)}
        lost = acknowledged - kept
        print(f"{len(acknowledged)} rows acknowledged over {len(self.turns) - 1} moves, "
              f"{len(lost)} lost, {len(listed)} listed")
        self.assertEqual(lost - listed, set(), "lost, and named nowhere")
        self.assertEqual(kept - acknowledged - unknown, set(), "nobody wrote these")
        self.assertEqual(listed - acknowledged - unknown, set(), "listed, and nobody wrote these")
        for region in REGIONS:
            reader = self.cluster(region)["ReaderEndpoint"]
            eventually(lambda reader=reader: self.has_all(reader, kept), 30)

    def has_all(self, reader, kept):
        """Are exactly these rows there?"""
        rows = pair.answer(reader, "select id from rows")
        return rows is not None and {row[0] for row in rows} == kept

    def check_that_writers_took_turns(self):
        """In the order of their answers, each Region has its turns and no other ones."""
        answers = sorted((at, it.region) for it in self.writers for at in it.acknowledged.values())
        answered = [region for region, _ in itertools.groupby(answers, lambda answer: answer[1])]
        rest = list(answered)
        for region, is_sure in self.turns:
            if rest[:1] == [region]:
                rest.pop(0)
            else:
                self.assertFalse(is_sure, (region, answered))
        self.assertEqual(rest, [], answered)


if __name__ == "__main__":
    unittest.main()
