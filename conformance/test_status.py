"""The header `x-amz-replication-status`: when it is there, and how it changes."""

import os
import time
import unittest

from support import (
    Case, DESTINATION, FURTHER, Outage, QUIET, READ_SOURCE, SOURCE, WRITE_DESTINATION, arn, body,
    client, document, eventually, midnight, role, rule,
)


class Present(Case):
    """Where it is."""

    def test_only_objects_that_a_rule_is_for_have_one(self):
        source, destination = self.pair()
        self.replicate(SOURCE, source, rule(destination, Filter={"Prefix": "in/"}))
        self.put(SOURCE, source, "out/a")
        self.put(SOURCE, source, "in/a")
        self.put(DESTINATION, destination, "own")
        self.assertIsNone(self.status(SOURCE, source, "out/a"))
        self.assertIsNone(self.status(DESTINATION, destination, "own"))
        self.assertIn(self.status(SOURCE, source, "in/a"), ("PENDING", "COMPLETED"))
        self.settles(SOURCE, source, "in/a", "COMPLETED")

    def test_a_rule_that_is_disabled_gives_none(self):
        source, destination = self.pair()
        self.replicate(SOURCE, source, rule(destination, Status="Disabled"))
        self.put(SOURCE, source, "a")
        self.assertIsNone(self.status(SOURCE, source, "a"))

    def test_get_and_head_say_the_same(self):
        source, destination = self.pair()
        self.replicate(SOURCE, source, rule(destination))
        self.put(SOURCE, source, "a")
        self.settles(SOURCE, source, "a", "COMPLETED")
        for region, bucket, wanted in (
            (SOURCE, source, "COMPLETED"), (DESTINATION, destination, "REPLICA"),
        ):
            got = client(region).get_object(Bucket=bucket, Key="a")
            self.assertEqual(got["ReplicationStatus"], wanted)
            self.assertEqual(self.status(region, bucket, "a"), wanted)


class Pending(Case):
    """PENDING, COMPLETED and REPLICA."""

    def test_it_is_pending_then_completed(self):
        source, destination = self.pair()
        self.replicate(SOURCE, source, rule(destination))
        self.put(SOURCE, source, "a", body(1 << 20))
        seen = []

        def completed():
            seen.append(self.status(SOURCE, source, "a"))
            return seen[-1] == "COMPLETED"

        eventually(completed, "it is completed")
        self.assertEqual(set(seen[:-1]) - {"PENDING"}, set(), seen)
        self.assertEqual(self.status(DESTINATION, destination, "a"), "REPLICA")

    def test_what_is_completed_is_there(self):
        source, destination = self.pair()
        self.replicate(SOURCE, source, rule(destination))
        for turn in range(5):
            version = self.put(SOURCE, source, f"a{turn}")["VersionId"]
            self.settles(SOURCE, source, f"a{turn}", "COMPLETED")
            replica = self.head(DESTINATION, destination, f"a{turn}", version)
            self.assertEqual(replica["ReplicationStatus"], "REPLICA")

    def test_an_outage_leaves_it_pending_until_it_is_over(self):
        source, destination = self.pair()
        self.replicate(SOURCE, source, rule(destination))
        self.fence(source, destination)
        with Outage(SOURCE, DESTINATION):
            made = [self.put(SOURCE, source, "a", b"%d" % turn)["VersionId"] for turn in range(4)]
            self.put(SOURCE, source, "b", body(1 << 20))
            time.sleep(max(QUIET, 1))
            for version in made:
                self.assertEqual(self.status(SOURCE, source, "a", version), "PENDING")
            self.assertEqual(self.status(SOURCE, source, "b"), "PENDING")
            self.assertIsNone(self.head(DESTINATION, destination, "a"))
        for version in made:
            self.settles(SOURCE, source, "a", "COMPLETED", version)
        self.settles(SOURCE, source, "b", "COMPLETED")
        there = [v["VersionId"] for v in self.versions(DESTINATION, destination, "a")]
        self.assertEqual(sorted(there), sorted(made))
        self.assertEqual(self.read(DESTINATION, destination, "a"), b"3")

    def test_a_change_of_a_replica_travels_back_and_it_is_a_replica_again(self):
        source, destination = self.pair()
        both = {"SourceSelectionCriteria": {"ReplicaModifications": {"Status": "Enabled"}}}
        self.replicate(SOURCE, source, rule(destination, **both))
        self.replicate(DESTINATION, destination, rule(source, **both))
        self.put(SOURCE, source, "a")
        self.settles(SOURCE, source, "a", "COMPLETED")
        client(DESTINATION).put_object_tagging(
            Bucket=destination, Key="a", Tagging={"TagSet": [{"Key": "at", "Value": "far"}]}
        )
        seen = set()

        def back():
            seen.add(self.status(DESTINATION, destination, "a"))
            tags = client(SOURCE).get_object_tagging(Bucket=source, Key="a")["TagSet"]
            return tags == [{"Key": "at", "Value": "far"}]

        eventually(back, "the tag is at the source")
        eventually(
            lambda: self.status(DESTINATION, destination, "a") == "REPLICA", "it is a replica"
        )
        self.assertLessEqual(seen, {"REPLICA", "PENDING"})
        self.assertEqual(len(self.versions(SOURCE, source, "a")), 1)


class Several(Case):
    """Several destinations."""

    def setUp(self):
        self.source, self.destination, self.further = self.pair(further=True)
        self.replicate(
            SOURCE, self.source, rule(self.destination, 1), rule(self.further, 2)
        )

    def test_it_is_completed_when_all_are(self):
        self.put(SOURCE, self.source, "a")
        self.settles(SOURCE, self.source, "a", "COMPLETED")
        for region, bucket in ((DESTINATION, self.destination), (FURTHER, self.further)):
            self.assertEqual(self.status(region, bucket, "a"), "REPLICA")

    def test_it_is_pending_until_all_are(self):
        with Outage(SOURCE, FURTHER):
            self.put(SOURCE, self.source, "a")
            self.arrives(DESTINATION, self.destination, "a")
            time.sleep(max(QUIET, 1))
            self.assertEqual(self.status(SOURCE, self.source, "a"), "PENDING")
        self.settles(SOURCE, self.source, "a", "COMPLETED")

    def test_it_is_failed_when_any_is(self):
        self.versioning(FURTHER, self.further, "Suspended")
        self.put(SOURCE, self.source, "a")
        self.settles(SOURCE, self.source, "a", "FAILED")
        self.arrives(DESTINATION, self.destination, "a")


class Failed(Case):
    """FAILED, for causes that last."""

    def setUp(self):
        self.source, self.destination = self.pair()

    def fails(self, by=None):
        self.replicate(SOURCE, self.source, rule(self.destination), by=by)
        self.put(SOURCE, self.source, "a")
        self.settles(SOURCE, self.source, "a", "FAILED")
        self.assertIsNone(self.head(DESTINATION, self.destination, "a"))

    def test_when_the_role_cannot_be_assumed(self):
        self.fails(role("not-ours", trust="ec2.amazonaws.com"))

    def test_when_the_role_may_not_read_the_source(self):
        self.fails(role("no-reading", actions=WRITE_DESTINATION))

    def test_when_the_role_may_not_write_the_destination(self):
        self.fails(role("no-writing", actions=READ_SOURCE))

    def test_when_the_destinations_policy_refuses(self):
        client(DESTINATION).put_bucket_policy(Bucket=self.destination, Policy=document({
            "Effect": "Deny", "Principal": "*", "Action": "s3:ReplicateObject",
            "Resource": f"{arn(self.destination)}/*",
        }))
        self.fails()

    def test_when_the_destinations_versioning_is_suspended(self):
        self.replicate(SOURCE, self.source, rule(self.destination))
        self.versioning(DESTINATION, self.destination, "Suspended")
        self.put(SOURCE, self.source, "a")
        self.settles(SOURCE, self.source, "a", "FAILED")

    def test_when_the_destination_is_gone(self):
        self.replicate(SOURCE, self.source, rule(self.destination))
        client(DESTINATION).delete_bucket(Bucket=self.destination)
        self.put(SOURCE, self.source, "a")
        self.settles(SOURCE, self.source, "a", "FAILED")

    def test_it_is_not_tried_again_but_what_is_put_anew_is(self):
        self.replicate(SOURCE, self.source, rule(self.destination))
        self.versioning(DESTINATION, self.destination, "Suspended")
        failed = self.put(SOURCE, self.source, "a")["VersionId"]
        self.settles(SOURCE, self.source, "a", "FAILED")
        self.versioning(DESTINATION, self.destination, "Enabled")
        again = self.put(SOURCE, self.source, "a")["VersionId"]
        self.settles(SOURCE, self.source, "a", "COMPLETED", again)
        time.sleep(max(QUIET, 1))
        self.assertEqual(self.status(SOURCE, self.source, "a", failed), "FAILED")
        there = [v["VersionId"] for v in self.versions(DESTINATION, self.destination, "a")]
        self.assertEqual(there, [again])


class Lifecycle(Case):
    """A rule's expiry waits for replication."""

    def test_what_has_failed_does_not_expire(self):
        seconds = os.environ.get("CONFORMANCE_LIFECYCLE")
        if not seconds:
            self.skipTest("NOT TESTED: CONFORMANCE_LIFECYCLE is not set")
        source, destination = self.pair()
        self.put(SOURCE, source, "old/before")
        self.replicate(SOURCE, source, rule(destination))
        self.versioning(DESTINATION, destination, "Suspended")
        self.put(SOURCE, source, "old/failed")
        self.settles(SOURCE, source, "old/failed", "FAILED")
        client(SOURCE).put_bucket_lifecycle_configuration(
            Bucket=source, LifecycleConfiguration={"Rules": [{
                "ID": "past", "Status": "Enabled", "Filter": {"Prefix": "old/"},
                "Expiration": {"Date": midnight(-1)},
            }]},
        )
        eventually(lambda: self.marker(SOURCE, source, "old/before"), "it expires", float(seconds))
        time.sleep(QUIET)
        self.assertEqual(self.status(SOURCE, source, "old/failed"), "FAILED")


if __name__ == "__main__":
    unittest.main()
