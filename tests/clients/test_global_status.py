"""What a global cluster shows of itself and bounds, by boto3 and psycopg: Aurora's SQL functions in
every database of writer and reader, also after a switchover; lags in `causeway databases lag` and in
metrics; and rds.global_db_rpo, by which no commit is acknowledged while the only secondary is away
for too long, and every commit once it is back."""

import threading
import time
import unittest

import psycopg
from databases import NOT_TESTED, POSTGRES
from lab import eventually
from test_global_databases import IRELAND, NAMES, VIRGINIA, WORLD, GlobalClusters, arn, connect

GROUP = "careful"
RPO = 20


def rows(address, statement, **changes):
    """What a statement gives, as dictionaries."""
    with connect(address, **changes) as connection:
        found = connection.execute(statement)
        names = [column.name for column in found.description]
        return [dict(zip(names, row)) for row in found.fetchall()]


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class GlobalStatus(unittest.TestCase):
    """One lab for all of it: making it takes longer than what is looked at."""

    setUp = GlobalClusters.setUp
    makes_the_world = GlobalClusters.makes_the_world
    add = GlobalClusters.add
    cluster = GlobalClusters.cluster
    writer = GlobalClusters.writer
    reader = GlobalClusters.reader
    world = GlobalClusters.world
    row = GlobalClusters.row
    is_in_step = GlobalClusters.is_in_step
    is_writer = GlobalClusters.is_writer
    takes_writes = GlobalClusters.takes_writes

    def test_what_a_global_cluster_shows_of_itself_and_for_whom_its_commits_wait(self):
        with connect(self.writer(VIRGINIA)) as connection:
            connection.execute("create database later")
        self.shows(VIRGINIA, IRELAND)
        self.check_what_causeway_tells()
        self.rds[VIRGINIA].switchover_global_cluster(
            GlobalClusterIdentifier=WORLD, TargetDbClusterIdentifier=arn(IRELAND))
        eventually(lambda: self.is_writer(IRELAND), 60)
        eventually(lambda: self.takes_writes(self.writer(IRELAND), 1), 30)
        eventually(lambda: self.is_in_step(VIRGINIA), 60)
        self.shows(IRELAND, VIRGINIA)
        self.check_the_gate()

    def shows(self, writes, reads):
        """Do both servers say who writes, who follows, and how late?"""
        def says(address, **changes):
            try:
                found = rows(address, "select * from aurora_global_db_status()", **changes)
            except psycopg.Error:
                return None
            if [row["aws_region"] for row in found] != [writes, reads]:
                return None
            lag = found[1]["rpo_lag_in_msec"]
            return found if lag is not None and lag < 2000 else None

        for address, region in ((self.writer(writes), writes), (self.reader(reads), reads)):
            for database in ("orders", "postgres", "later"):
                found = eventually(lambda: says(address, dbname=database), 60)
                writer, reader = found
                self.assertEqual(
                    (writer["rpo_lag_in_msec"], writer["durability_lag_in_msec"]), (-1, -1))
                self.assertEqual(writer["last_lag_calculation_time"].timestamp(), 0)
                self.assertGreaterEqual(reader["rpo_lag_in_msec"], 0)
                self.assertGreater(reader["highest_lsn_written"], 0)
                age = time.time() - reader["last_lag_calculation_time"].timestamp()
                self.assertLess(abs(age), 60)
            own = rows(address, "select aurora_db_instance_identifier() as name, "
                                "aurora_version() as version")
            self.assertEqual(own[0]["name"], f"{NAMES[region]}-1")
            self.assertRegex(own[0]["version"], r"^15\.\d+\.0$")
            instances = rows(address, "select * from aurora_global_db_instance_status()")
            self.assertEqual([row["server_id"] for row in instances],
                             [f"{NAMES[writes]}-1", f"{NAMES[reads]}-1"])
            self.assertEqual(instances[0]["session_id"], "MASTER_SESSION_ID")
            replicas = rows(address, "select * from aurora_replica_status()")
            self.assertEqual([row["server_id"] for row in replicas], [f"{NAMES[region]}-1"])
            self.assertEqual(replicas[0]["session_id"] == "MASTER_SESSION_ID", region == writes)
            print(f"{region} shows {found[1]}")

    def check_what_causeway_tells(self):
        """The secondary's lag stands in the list, and in the writer's Region's metrics."""
        lags = self.lab.json("databases", "lag")["databases"]
        ours = [row for row in lags if row["instance"] == f"{NAMES[IRELAND]}-1"]
        self.assertIsInstance(ours[0]["rpo_lag_milliseconds"], int)
        line = f'causeway_database_global_rpo_lag_milliseconds{{region="{VIRGINIA}",'
        for words in [line, f'secondary="{IRELAND}"']:
            eventually(lambda words=words: words in self.lab.run("metrics").stdout)

    def commits_again(self):
        """Is the row there, by a new session?"""
        try:
            with connect(self.writer(IRELAND)) as session:
                session.execute("insert into rows values (1000) on conflict do nothing")
        except psycopg.OperationalError:
            return False
        return True

    def alarms(self):
        """What sites say is wrong; one that is slow to answer says nothing."""
        sites = self.lab.json("status")["sites"]
        details = [site.get("detail") or {} for site in sites]
        return [alarm for detail in details for alarm in detail.get("alarms") or []]

    def check_the_gate(self):
        """With the only secondary away for longer than the objective, nothing is acknowledged."""
        client, address = self.rds[IRELAND], self.writer(IRELAND)
        client.create_db_cluster_parameter_group(
            DBClusterParameterGroupName=GROUP, DBParameterGroupFamily="aurora-postgresql15",
            Description="loses little")
        client.modify_db_cluster_parameter_group(
            DBClusterParameterGroupName=GROUP, Parameters=[{
                "ParameterName": "rds.global_db_rpo", "ParameterValue": str(RPO),
                "ApplyMethod": "immediate"}])
        client.modify_db_cluster(
            DBClusterIdentifier=NAMES[IRELAND], DBClusterParameterGroupName=GROUP)
        self.lab.run("fault", "kill", VIRGINIA)
        begun = time.monotonic()
        # Its death may have the council elect another leader: what is written until then tells.
        eventually(lambda: self.takes_writes(address, 2), 15)
        session = connect(address)
        self.addCleanup(session.close)
        eventually(lambda: self.row(IRELAND).get("commits_wait"), 60)
        print(f"commits wait {time.monotonic() - begun:.1f} s after the secondary's death")
        done = threading.Event()

        def commit():
            try:
                session.execute("insert into rows values (1000)")
            except psycopg.OperationalError as cause:
                # As a Region comes back, another may lead the council: a lease may run out then.
                print(f"the session that waited ended {time.monotonic() - begun:.1f} s after: {cause}")
                eventually(self.commits_again, 60)
            done.set()

        waiting = threading.Thread(target=commit, daemon=True)
        waiting.start()
        with self.assertRaisesRegex(psycopg.OperationalError, "rds.global_db_rpo"):
            connect(address)
        eventually(lambda: any("commits wait" in alarm for alarm in self.alarms()))
        time.sleep(2)
        self.assertFalse(done.is_set(), "a commit was acknowledged")
        self.lab.run("fault", "heal")
        self.assertTrue(done.wait(60), "commits wait though the secondary is back")
        print(f"and go on {time.monotonic() - begun:.1f} s after it")
        eventually(lambda: not self.row(IRELAND).get("commits_wait"), 30)
        eventually(lambda: self.is_in_step(VIRGINIA), 60)
        kept = rows(self.reader(VIRGINIA), "select id from rows where id = 1000")
        self.assertEqual(len(kept), 1)


# Its own tests run where they stand.
del GlobalClusters

if __name__ == "__main__":
    unittest.main()
