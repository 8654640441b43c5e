"""What goes wrong with databases: a copy that was cut off for longer than its source keeps its log
for it, and processes that are killed amid whatever they do. Every acknowledged row is counted."""

import os
import random
import re
import signal
import subprocess
import time
import unittest

import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from databases import NOT_TESTED, POSTGRES, connect, create, described, in_status, value
from lab import Lab, eventually
from test_global_databases import IRELAND, NAMES, VIRGINIA, WORLD, Writer, arn
import test_global_databases

SOURCE = f"arn:aws:rds:{VIRGINIA}:111122223333:db:orders"


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class LeftBehind(unittest.TestCase):
    """A lab whose Regions are next door to each other: what is copied crosses at once."""

    def setUp(self):
        self.lab = Lab("--regions", f"{VIRGINIA},{IRELAND}", "--delay-scale", "0")
        self.addCleanup(self.lab.close)
        self.virginia = self.lab.client(VIRGINIA, "rds")
        self.ireland = self.lab.client(IRELAND, "rds")

    def replica(self):
        """What is told of the replica."""
        rows = self.lab.json("databases", "lag")["databases"]
        return next(row for row in rows if row["instance"] == "readers")

    def told(self):
        """The events of the replica."""
        found = self.ireland.describe_events(
            SourceIdentifier="readers", SourceType="db-instance", Duration=60)
        return [event["Message"] for event in found["Events"]]

    def infos(self):
        """What is described of its replication."""
        return described(self.ireland, "readers")["StatusInfos"][0]

    def test_a_replica_whose_log_is_gone_at_its_source_says_so_and_is_copied_anew(self):
        self.virginia.create_db_parameter_group(
            DBParameterGroupName="short", DBParameterGroupFamily="postgres15", Description="short")
        self.virginia.modify_db_parameter_group(
            DBParameterGroupName="short", Parameters=[{
                "ParameterName": "max_slot_wal_keep_size", "ParameterValue": "64",
                "ApplyMethod": "immediate"}])
        create(self.virginia, "orders", DBParameterGroupName="short")
        orders = in_status(self.virginia, "orders")
        with connect(orders) as connection:
            connection.execute("create table rows (id int primary key, filler text)")
        self.ireland.create_db_instance_read_replica(
            DBInstanceIdentifier="readers", SourceDBInstanceIdentifier=SOURCE)
        readers = in_status(self.ireland, "readers", seconds=120)
        eventually(lambda: self.infos()["Status"] == "replicating", 60)
        self.lab.run("fault", "cut", VIRGINIA, IRELAND)
        fill = "insert into rows select n, repeat('x', 800) from generate_series({}, {}) n"
        with connect(orders) as connection:
            for part in range(4):
                connection.execute(fill.format(part * 40_000 + 1, part * 40_000 + 40_000))
                connection.execute("checkpoint")
            lost = connection.execute(
                "select wal_status from pg_replication_slots "
                "where slot_name <> 'causeway_archive' and not temporary").fetchone()[0]
        self.assertEqual(lost, "lost")
        # It is read as it was as long as its source can't give leave.
        time.sleep(8)
        self.assertEqual(value(readers, "select count(*) from rows"), 0)
        self.assertEqual(self.infos()["Status"], "error")
        healed = time.monotonic()
        self.lab.run("fault", "heal")
        eventually(lambda: "has already been removed" in " ".join(self.told()), 60)
        eventually(lambda: "copied anew" in self.infos().get("Message", ""), 30)
        eventually(lambda: self.infos()["Status"] == "replicating", 180)
        in_status(self.ireland, "readers")
        print(f"copied anew {time.monotonic() - healed:.1f} s after the heal")
        self.assertEqual(value(readers, "select count(*) from rows"), 160_000)
        eventually(lambda: "Replication for the Read Replica resumed." in self.told(), 30)
        with connect(orders) as connection:
            connection.execute("insert into rows values (0, '')")
        eventually(lambda: value(readers, "select count(*) from rows") == 160_001, 30)
        self.assertIsNone(self.replica()["trouble"])


@unittest.skipUnless(POSTGRES, NOT_TESTED)
@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: only root may mount a disk of its own")
class Disks(unittest.TestCase):
    """A Region whose databases are on a small disk of their own, which fills up, is taken away, and
    is written to by somebody else."""

    def setUp(self):
        self.lab = Lab("--regions", VIRGINIA)
        self.addCleanup(self.lab.close)
        self.client = self.lab.client(VIRGINIA, "rds")
        self.disk = self.lab.data / "db" / VIRGINIA
        self.disk.mkdir(parents=True, exist_ok=True)
        os.chmod(self.disk.parent, 0o711)
        self.mount("-t", "tmpfs", "-o", "size=220m,mode=0711", "tmpfs", str(self.disk))
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.disk)])
        create(self.client, "orders")
        create(self.client, "others")
        self.orders = in_status(self.client, "orders")
        self.others = in_status(self.client, "others")

    def mount(self, *words):
        """Mounts something."""
        subprocess.run(["mount", *words], check=True)

    def home(self, name):
        """The data directory of an instance's server."""
        row = self.row(name)
        return self.disk / row["resource_id"].removeprefix("db-")[:12].lower() / "data"

    def row(self, name):
        """What `causeway databases list` says of it."""
        rows = self.lab.json("databases", "list")["databases"]
        return next(row for row in rows if row["instance"] == name)

    def status(self, name):
        """Its status."""
        return described(self.client, name)["DBInstanceStatus"]

    def events(self, name):
        """What was told of it."""
        found = self.client.describe_events(
            SourceIdentifier=name, SourceType="db-instance", Duration=60)
        return [event["Message"] for event in found["Events"]]

    def counted(self, instance):
        """How many rows there are; None: it isn't reached."""
        try:
            return value(instance, "select count(*) from rows")
        except psycopg.Error:
            return None

    def test_disks_that_fill_or_go_away_and_data_that_can_t_be_read_end_nothing_for_good(self):
        kept = self.fill()
        self.mount("-o", "remount,size=700m", str(self.disk))
        in_status(self.client, "orders", seconds=90)
        eventually(lambda: self.counted(self.orders) == kept, 60)
        self.take_away(kept)
        self.damage("global/pg_control", b"", "can't be read")
        self.damage("PG_VERSION", b"14\n", "of PostgreSQL 14, not of 15")
        self.assertEqual(self.counted(self.orders), kept)

    def fill(self):
        """Writes until there is no room; how many rows were acknowledged."""
        kept = 0
        with connect(self.orders) as connection:
            connection.execute("create table rows (id int, filler text)")
        try:
            with connect(self.orders) as connection:
                while kept < 1_000_000:
                    connection.execute(
                        "insert into rows select n, repeat('x', 1000) "
                        "from generate_series(1, 2000) n")
                    kept += 2000
        except psycopg.Error as error:
            print(f"full after {kept} rows: {error}")
        self.assertLess(kept, 1_000_000)
        eventually(lambda: self.status("orders") == "storage-full", 60)
        self.assertIn("full", self.row("orders")["trouble"])
        return kept

    def take_away(self, kept):
        """The disk is unmounted under running servers, and what is beneath it is another's."""
        aside = self.disk.with_name("aside")
        aside.mkdir()
        self.mount("--move", str(self.disk), str(aside))
        self.addCleanup(subprocess.run, ["umount", "-l", str(aside)], stderr=subprocess.DEVNULL)
        self.client.reboot_db_instance(DBInstanceIdentifier="orders")
        eventually(lambda: "is its disk mounted?" in (self.row("orders")["trouble"] or ""), 30)
        time.sleep(3)
        self.assertEqual(list(self.disk.iterdir()), [], "something was made where no disk is")
        self.assertNotEqual(self.status("orders"), "failed")
        self.mount("--move", str(aside), str(self.disk))
        in_status(self.client, "orders", seconds=60)
        eventually(lambda: self.counted(self.orders) == kept, 60)

    def damage(self, name, content, said):
        """A file of a stopped server's data is another; its server isn't started, the other one
        lives on, and all is as it was once the file is."""
        self.client.stop_db_instance(DBInstanceIdentifier="others")
        in_status(self.client, "others", "stopped")
        path = self.home("others") / name
        whole = path.read_bytes()
        path.write_bytes(content)
        self.client.start_db_instance(DBInstanceIdentifier="others")
        eventually(lambda: said in (self.row("others")["trouble"] or ""), 30)
        self.assertNotEqual(self.status("others"), "available")
        self.assertEqual(self.status("orders"), "available")
        self.assertTrue(path.exists(), "it was removed")
        for message in self.events("others"):
            self.assertNotIn(str(self.lab.data), message)
        path.write_bytes(whole)
        in_status(self.client, "others", seconds=60)


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class Killed(unittest.TestCase):
    """Processes of Regions that are killed (SIGKILL) while their plans are carried out. When is
    drawn from a seed; what is under way then is the machine's to say."""

    SEED = 20261129
    # More, until so many moves were begun: how many are refused since one is under way yet is a
    # matter of the machine's speed.
    ROUNDS, MOVES = 8, 3

    def setUp(self):
        self.random = random.Random(self.SEED)
        self.world = test_global_databases.GlobalClusters("is_gone")
        self.addCleanup(self.world.doCleanups)
        self.world.setUp()
        self.lab, self.rds = self.world.lab, self.world.rds

    def kill(self, region):
        """Kills a Region's process and starts it again; its servers end with it."""
        os.kill(self.lab.processes()[region], signal.SIGKILL)
        sites = lambda: {it["site"]: it["state"] for it in self.lab.json("status")["sites"]}
        eventually(lambda: sites()[region] == "crashed")
        time.sleep(self.random.uniform(0, 1.5))
        self.lab.run("fault", "start", region)
        eventually(lambda: self.lab.run("status", check=False).returncode == 0, 60)

    def kill_soon(self, region, most):
        """Kills it after a while."""
        after = self.random.uniform(0, most)
        time.sleep(after)
        before = self.world.row(region)
        self.kill(region)
        print(f"killed {region} after {after:.2f} s, next was {before.get('next')}")

    def move(self, to, loses):
        """Asks for a move; False: it is refused now; None: it may be carried out or not."""
        asked = IRELAND if self.random.random() < 0.5 else VIRGINIA
        try:
            self.rds[asked].failover_global_cluster(
                GlobalClusterIdentifier=WORLD, TargetDbClusterIdentifier=arn(to),
                **({"AllowDataLoss": True} if loses else {}))
        except ClientError as error:
            print(f"not now: {error}")
            is_refused = error.response["Error"]["Code"].startswith("Invalid")
            return False if is_refused else None
        except BotoCoreError as error:
            print(f"no answer: {error}")
            return None
        return True

    def is_settled(self):
        """The Region that writes, once the other follows and nothing is under way."""
        for region, other in [(VIRGINIA, IRELAND), (IRELAND, VIRGINIA)]:
            if self.world.is_writer(region) and self.world.is_in_step(other):
                return region
        return None

    def test_whatever_is_killed_amid_a_plan_all_converges_and_no_row_is_lost_beyond_the_list(self):
        begun = time.monotonic()
        self.made_and_copied_through_kills()
        writers = [Writer(self.world.writer(region), first)
                   for region, first in [(VIRGINIA, 1), (IRELAND, 10_000_000)]]
        for writer in writers:
            self.addCleanup(writer.stop)
        moves = asked = rounds = 0
        to = IRELAND
        while rounds < self.ROUNDS or (moves < self.MOVES and rounds < 4 * self.ROUNDS):
            rounds += 1
            begins = self.move(to, self.random.random() < 0.5)
            moves += begins is True
            asked += begins is not False
            self.kill_soon(self.random.choice([VIRGINIA, IRELAND]), 1.5)
            to = VIRGINIA if self.world.is_writer(IRELAND) else IRELAND
        region = eventually(self.is_settled, 150)
        eventually(lambda: self.world.takes_writes(self.world.writer(region), -5000), 30)
        for writer in writers:
            writer.stop()
        acknowledged = set().union(*(writer.acknowledged for writer in writers))
        other = VIRGINIA if region == IRELAND else IRELAND
        kept = self.world.kept(self.world.writer(region))
        eventually(lambda: self.world.kept(self.world.reader(other)) >= kept, 30)
        sql = self.lab.run("databases", "lost", "--sql").stdout
        listed = {int(it) for it in re.findall(r"INSERT INTO .*rows.*VALUES \('?(-?\d+)", sql)}
        missing = acknowledged - kept
        print(f"{moves} moves in {rounds} rounds, {len(acknowledged)} rows acknowledged, {len(missing)} missing, "
              f"{len(listed)} in the lists; {time.monotonic() - begun:.0f} s in all")
        self.assertEqual(missing - listed, set(), "lost beyond the list")
        self.assertGreaterEqual(moves, self.MOVES, "nothing was tried")
        self.check_that_one_wrote_after_the_other(writers, asked)

    def check_that_one_wrote_after_the_other(self, writers, asked):
        """The role went from one to the other at most as often as was asked for."""
        times = sorted((at, index) for index, writer in enumerate(writers)
                       for at in writer.acknowledged.values())
        turns = sum(1 for one, next_one in zip(times, times[1:]) if one[1] != next_one[1])
        self.assertLessEqual(turns, asked, "two writers were reached at once")

    def made_and_copied_through_kills(self):
        """An instance and its replica, each killed while it is made."""
        create(self.rds[VIRGINIA], "orders")
        self.kill_soon(VIRGINIA, 2.5)
        orders = in_status(self.rds[VIRGINIA], "orders", seconds=90)
        eventually(lambda: self.attempt(orders, "create table t (n int)"), 30)
        eventually(self.makes_a_replica, 30)
        self.kill_soon(IRELAND, 2.5)
        readers = in_status(self.rds[IRELAND], "readers", seconds=120)
        eventually(lambda: self.attempt(orders, "insert into t values (1)"), 30)
        eventually(lambda: self.attempt(readers, "select n from t where n = 1"), 60)
        for region, name in [(IRELAND, "readers"), (VIRGINIA, "orders")]:
            self.rds[region].delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
            self.kill_soon(region, 0.5)
            eventually(lambda: described(self.rds[region], name) is None, 60)

    def makes_a_replica(self):
        """Makes it, once both Regions hear each other."""
        try:
            self.rds[IRELAND].create_db_instance_read_replica(
                DBInstanceIdentifier="readers", SourceDBInstanceIdentifier=SOURCE)
        except ClientError:
            return False
        return True

    def attempt(self, instance, statement):
        """Is it carried out now?"""
        try:
            with connect(instance) as connection:
                return connection.execute(statement).rowcount != 0
        except psycopg.Error:
            return False


if __name__ == "__main__":
    unittest.main()
