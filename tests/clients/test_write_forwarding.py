"""Write forwarding by psycopg: what a session of a secondary writes is carried out by the writer in
the other Region, as the same user and with the same settings, by the simple and the extended
protocol, alone and in transactions; its reads see what they are to see by each consistency mode;
what isn't forwarded is refused as read only, and what a cut link takes is told with its code."""

import concurrent.futures
import contextlib
import threading
import time
import unittest

import psycopg
from databases import NOT_TESTED, POSTGRES
from lab import eventually
from psycopg import errors
from test_global_databases import IRELAND, NAMES, VIRGINIA, WORLD, GlobalClusters, arn, connect

MODE = "apg_write_forward.consistency_mode"

# So many sessions of a Region forward at one time.
PLACES = 32


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class WriteForwarding(unittest.TestCase):
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

    def test_what_a_secondary_s_sessions_write_is_the_writer_s(self):
        with connect(self.reader(IRELAND)) as session:
            with self.assertRaises(errors.ReadOnlySqlTransaction):
                session.execute("insert into rows values (1)")
        self.enable(IRELAND)
        self.check_plain_statements()
        self.check_transactions()
        self.check_settings_and_rights()
        self.check_modes()
        self.check_refusals()
        self.check_a_cancel()
        self.check_a_cut()
        self.check_a_switchover()

    def enable(self, region):
        """Has that Region's cluster forward, and sees it described."""
        self.rds[region].modify_db_cluster(
            DBClusterIdentifier=NAMES[region], EnableGlobalWriteForwarding=True)

        def is_enabled():
            cluster = self.cluster(region)
            return (cluster["GlobalWriteForwardingRequested"],
                    cluster["GlobalWriteForwardingStatus"]) == (True, "enabled")

        eventually(is_enabled)
        # Any Region describes it, as soon as it has heard of it.
        eventually(lambda: {
            member["DBClusterArn"]: member["GlobalWriteForwardingStatus"]
            for member in self.world()["GlobalClusterMembers"]}[arn(region)] == "enabled")

    def at_writer(self, statement, *arguments):
        """What a statement gives at the writer."""
        with connect(self.writer(VIRGINIA)) as connection:
            return connection.execute(statement, arguments or None).fetchall()

    def check_plain_statements(self):
        with connect(self.reader(IRELAND)) as session:
            begun = time.monotonic()
            session.execute("insert into rows values (1)")
            first = time.monotonic() - begun
            # What a session wrote, it reads.
            read = "select count(*) from rows where id > 0"
            self.assertEqual(session.execute(read).fetchone()[0], 1)
            spent = []
            for number in range(2, 12):
                begun = time.monotonic()
                session.execute("insert into rows values (%s)", [number])
                spent.append(time.monotonic() - begun)
                self.assertEqual(session.execute(read).fetchone()[0], number)
            print(f"the first forwarded insert took {first * 1000:.0f} ms, "
                  f"later ones {sorted(spent)[5] * 1000:.0f} ms at the median")
            for number in range(12, 15):
                session.execute("insert into rows values (%s)", [number], prepare=True)
                found = session.execute(
                    "select count(*) from rows where id > %s", [0], prepare=True)
                self.assertEqual(found.fetchone()[0], number)
            changed = session.execute(
                "update rows set id = 15 where id = 14 returning id, pg_is_in_recovery()")
            self.assertEqual(changed.fetchall(), [(15, False)])
            self.assertEqual(session.execute("delete from rows where id = 15").rowcount, 1)
            with self.assertRaises(errors.UniqueViolation):
                session.execute("insert into rows values (1)")
            locked = session.execute("select id from rows where id = %s for update", [1])
            self.assertEqual(locked.fetchall(), [(1,)])
            with session.pipeline():
                for number in range(14, 114):
                    session.execute("insert into rows values (%s)", [number])
                found = session.execute(read)
            self.assertEqual(found.fetchone()[0], 113)
            self.assertTrue(session.execute("select pg_is_in_recovery()").fetchone()[0])
            session.execute("-- as a comment has it\nwith gone as (delete from rows where id > 13 "
                            "returning id) select count(*) from gone /* ; */;")
        self.assertEqual(self.at_writer("select count(*) from rows where id > 0"), [(13,)])

    def check_transactions(self):
        with connect(self.reader(IRELAND), autocommit=False) as session:
            session.execute("insert into rows values (100)")
            session.execute("update rows set id = %s where id = %s", [101, 100])
            found = session.execute("select id from rows where id >= 100").fetchall()
            self.assertEqual(found, [(101,)])
            self.assertEqual(self.at_writer("select id from rows where id >= 100"), [])
            session.commit()
            self.assertEqual(self.at_writer("select id from rows where id >= 100"), [(101,)])
            found = session.execute("select id from rows where id >= 100").fetchall()
            self.assertEqual(found, [(101,)])
            session.rollback()
            session.execute("delete from rows where id = 101")
            session.rollback()
            # One that has failed is answered so, and comes to nothing.
            session.execute("insert into rows values (102)")
            with self.assertRaises(errors.UniqueViolation):
                session.execute("insert into rows values (101)")
            with self.assertRaises(errors.InFailedSqlTransaction):
                session.execute("select 1")
            session.commit()
            with self.assertRaises(errors.ReadOnlySqlTransaction):
                with session.transaction():
                    session.execute("insert into rows values (103)")
                    session.execute("create table others (id int)")
            with self.assertRaises(errors.ReadOnlySqlTransaction):
                with session.transaction():
                    session.execute("insert into rows values (104)")
                    session.execute("savepoint here")
            session.execute("select 1")
            session.execute("insert into rows values (105)")
            session.commit()
        self.assertEqual(
            self.at_writer("select id from rows where id >= 100 order by id"), [(101,), (105,)])

    def check_settings_and_rights(self):
        with connect(self.writer(VIRGINIA)) as connection:
            connection.execute("create schema mine")
            connection.execute("create table mine.notes (who text, at text, note text)")
            connection.execute("create role reader login password 'only-reads'")
            connection.execute("grant usage on schema mine to reader")
            connection.execute("grant select, insert on mine.notes to reader")
            connection.execute("grant reader to master")
        note = ("insert into notes values (current_user, current_setting('TimeZone'), %s) "
                "returning *")
        eventually(lambda: self.has_replayed("select from mine.notes"))
        with connect(self.reader(IRELAND), user="reader", password="only-reads",
                     options="-c TimeZone=Asia/Tokyo") as session:
            with self.assertRaises(errors.UndefinedTable):
                session.execute(note, ["nowhere"])
            session.execute("set search_path = mine")
            session.execute("set app.person = 'Clara'")
            session.execute("select set_config('app.tenant', 'one', false)")
            custom = "concat(current_setting('app.person'), current_setting('app.tenant'))"
            session.execute(f"insert into notes values ('x', 'x', {custom})")
            self.assertEqual(session.execute("select note from notes").fetchone()[0], "Claraone")
            odd = "it's \\ odd"
            self.assertEqual(session.execute(note, [odd]).fetchall(),
                             [("reader", "Asia/Tokyo", odd)])
            session.execute("set timezone = 'Asia/Seoul'")
            self.assertEqual(session.execute(note, ["b"]).fetchone()[1], "Asia/Seoul")
            session.execute("reset timezone")
            self.assertEqual(session.execute(note, ["c"]).fetchone()[1], "Asia/Tokyo")
            self.assertEqual(session.execute("select count(*) from notes").fetchone()[0], 4)
            with self.assertRaises(errors.InsufficientPrivilege):
                session.execute("insert into public.rows values (200)")
            with self.assertRaises(errors.InsufficientPrivilege):
                session.execute("update notes set note = ''")
        with connect(self.reader(IRELAND)) as session:
            session.execute("set role reader")
            session.execute("set search_path = mine")
            self.assertEqual(session.execute(note, ["d"]).fetchone()[0], "reader")
            session.execute("reset role")
            self.assertEqual(session.execute(note, ["e"]).fetchone()[0], "master")

    def has_replayed(self, statement):
        try:
            with connect(self.reader(IRELAND)) as session:
                session.execute(statement)
                return True
        except psycopg.Error:
            return False

    def check_modes(self):
        with connect(self.reader(IRELAND)) as session, \
                connect(self.writer(VIRGINIA)) as writer:
            self.assertEqual(session.execute(f"show {MODE}").fetchone()[0], "SESSION")
            session.execute(f"set {MODE} = 'global'")
            for number in range(300, 305):
                writer.execute("insert into rows values (%s)", [number])
                found = session.execute("select max(id) from rows").fetchone()[0]
                self.assertEqual(found, number, "what was committed before is read")
            session.execute(f"set {MODE} = 'eventual'")
            session.execute("insert into rows values (305)")
            # The reader doesn't wait; in the end it is there.
            eventually(lambda: session.execute("select max(id) from rows").fetchone()[0] == 305)
            session.execute(f"set {MODE} = 'off'")
            with self.assertRaises(errors.ReadOnlySqlTransaction):
                session.execute("insert into rows values (306)")
            session.execute(f"set {MODE} = 'sometimes'")
            with self.assertRaises(errors.InvalidParameterValue):
                session.execute("insert into rows values (306)")
            session.execute(f"reset {MODE}")
            session.execute("insert into rows values (306)")
            self.assertEqual(session.execute("select max(id) from rows").fetchone()[0], 306)

    def check_refusals(self):
        with connect(self.reader(IRELAND)) as session:
            for statement in ("create table others (id int)", "truncate rows", "vacuum rows",
                              "select 1 into others",
                              "begin isolation level repeatable read; insert into rows values (0)"):
                with self.assertRaises((errors.ReadOnlySqlTransaction,
                                        errors.FeatureNotSupported), msg=statement):
                    session.execute(statement)
                session.execute("rollback")
            # Parameters may be as long as they like; a text isn't read beyond 1 MiB.
            found = session.execute("delete from rows where length(%s) = 0", ["x" * (2 << 20)])
            self.assertEqual(found.rowcount, 0)
            with self.assertRaises(errors.ReadOnlySqlTransaction):
                session.execute(f"insert into rows select length('{'x' * (2 << 20)}')")
            length = session.execute("select length(%s)", ["x" * (2 << 20)]).fetchone()[0]
            self.assertEqual(length, 2 << 20)
            session.execute("insert into rows values (400)")

    def check_a_cancel(self):
        """With all places of sessions taken, by as many that first write at once."""
        begun = time.monotonic()
        with contextlib.ExitStack() as stack, \
                concurrent.futures.ThreadPoolExecutor(PLACES) as pool:
            reader = self.reader(IRELAND)
            sessions = list(pool.map(lambda _: stack.enter_context(connect(reader)),
                                     range(PLACES)))

            def delete(session):
                return session.execute("delete from rows where id = 400").rowcount

            self.assertEqual(sum(pool.map(delete, sessions)), 1)
            with connect(reader) as late:
                with self.assertRaises(errors.TooManyConnections):
                    late.execute("insert into rows values (502)")
            session = sessions[0]
            later = threading.Timer(1, session.cancel)
            later.start()
            with self.assertRaises(errors.QueryCanceled):
                session.execute("insert into rows select 500 from pg_sleep(60)")
            later.join()
            session.execute("insert into rows values (501)")
        print(f"{PLACES} sessions and a cancel took {time.monotonic() - begun:.1f} s")

    def check_a_cut(self):
        client, name = self.rds[IRELAND], NAMES[IRELAND]
        client.create_db_cluster_parameter_group(
            DBClusterParameterGroupName="far", DBParameterGroupFamily="aurora-postgresql15",
            Description="doesn't wait for long")
        client.modify_db_cluster_parameter_group(
            DBClusterParameterGroupName="far", Parameters=[{
                "ParameterName": "apg_write_forward.connect_timeout", "ParameterValue": "2",
                "ApplyMethod": "immediate"}])
        client.modify_db_cluster(DBClusterIdentifier=name, DBClusterParameterGroupName="far")
        with connect(self.reader(IRELAND)) as session:
            session.execute("insert into rows values (600)")
            session.execute("select 1")
            self.lab.run("fault", "cut", VIRGINIA, IRELAND)
            begun = time.monotonic()
            with self.assertRaises(psycopg.OperationalError) as caught:
                session.execute("insert into rows values (601)")
            self.assertIn(caught.exception.sqlstate, ("08001", "08007"))
            print(f"after a cut a forwarded insert fails in {time.monotonic() - begun:.1f} s: "
                  f"{caught.exception.sqlstate} {caught.exception.diag.message_primary}")
            with self.assertRaises(psycopg.OperationalError) as caught:
                session.execute("insert into rows values (602)")
            self.assertEqual(caught.exception.sqlstate, "08001")
            self.lab.run("fault", "heal")

            def writes():
                try:
                    session.execute("insert into rows values (603) on conflict do nothing")
                    return True
                except psycopg.OperationalError:
                    return False

            eventually(writes, 60)
            found = session.execute("select id from rows where id >= 602").fetchall()
            self.assertEqual(found, [(603,)])

    def check_a_switchover(self):
        """The old writer's sessions forward as soon as it is a secondary."""
        self.enable(VIRGINIA)
        eventually(lambda: self.is_in_step(IRELAND), 60)
        self.rds[VIRGINIA].switchover_global_cluster(
            GlobalClusterIdentifier=WORLD, TargetDbClusterIdentifier=arn(IRELAND))
        eventually(lambda: self.is_writer(IRELAND), 60)
        eventually(lambda: self.takes_writes(self.writer(IRELAND), 700), 30)
        eventually(lambda: self.is_in_step(VIRGINIA), 60)

        def writes():
            try:
                with connect(self.reader(VIRGINIA)) as session:
                    session.execute("insert into rows values (701) on conflict do nothing")
                    return session.execute("select id from rows where id = 701").fetchone()
            except psycopg.Error:
                return None

        self.assertEqual(eventually(writes, 60), (701,))
        with connect(self.writer(IRELAND)) as connection:
            found = connection.execute("select id from rows where id = 701").fetchall()
        self.assertEqual(found, [(701,)])


# Its own tests run where they stand.
del GlobalClusters

if __name__ == "__main__":
    unittest.main()
