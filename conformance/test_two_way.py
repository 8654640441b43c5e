"""Two buckets that replicate to each other."""

import time
import unittest

from support import Case, DESTINATION, Outage, QUIET, SOURCE, body, client, eventually, rule


class TwoWay(Case):
    """No loops, one truth."""

    def setUp(self):
        self.one, self.other = self.pair()
        both = {"SourceSelectionCriteria": {"ReplicaModifications": {"Status": "Enabled"}}}
        self.replicate(SOURCE, self.one, rule(self.other, markers="Enabled", **both))
        self.replicate(DESTINATION, self.other, rule(self.one, markers="Enabled", **both))

    def history(self, region, bucket, key):
        """The versions of a key as that side has them."""
        listed = client(region).list_object_versions(Bucket=bucket, Prefix=key)
        found = [(v["VersionId"], v["IsLatest"], v["LastModified"], v.get("ETag"))
                 for v in listed.get("Versions", []) + listed.get("DeleteMarkers", [])]
        return sorted(found)

    def alike(self, key, count):
        """Waits until both sides have that many versions, and compares them."""
        eventually(
            lambda: len(self.history(SOURCE, self.one, key)) >= count
            and len(self.history(DESTINATION, self.other, key)) >= count, f"{count} on both sides",
        )
        time.sleep(max(QUIET, 1))
        mine = self.history(SOURCE, self.one, key)
        self.assertEqual(mine, self.history(DESTINATION, self.other, key))
        self.assertEqual(len(mine), count)
        self.assertEqual([latest for _, latest, _, _ in mine].count(True), 1)

    def test_what_is_put_on_either_side_is_on_both_once(self):
        self.put(SOURCE, self.one, "a")
        self.put(DESTINATION, self.other, "b")
        self.alike("a", 1)
        self.alike("b", 1)
        self.assertEqual(self.status(SOURCE, self.one, "a"), "COMPLETED")
        self.assertEqual(self.status(SOURCE, self.one, "b"), "REPLICA")

    def test_what_was_put_on_both_sides_at_once_is_the_same_on_both(self):
        with Outage(SOURCE, DESTINATION):
            for turn in range(3):
                self.put(SOURCE, self.one, "a", b"one %d" % turn)
                self.put(DESTINATION, self.other, "a", b"other %d" % turn)
        self.alike("a", 6)
        self.assertEqual(
            self.read(SOURCE, self.one, "a"), self.read(DESTINATION, self.other, "a")
        )

    def test_deletions_on_both_sides_make_a_marker_each_and_no_more(self):
        self.put(SOURCE, self.one, "a")
        self.alike("a", 1)
        with Outage(SOURCE, DESTINATION):
            client(SOURCE).delete_object(Bucket=self.one, Key="a")
            client(DESTINATION).delete_object(Bucket=self.other, Key="a")
        self.alike("a", 3)

    def test_a_put_on_the_one_side_over_what_the_other_sent_is_current_on_both(self):
        self.put(SOURCE, self.one, "a", body())
        self.arrives(DESTINATION, self.other, "a")
        self.put(DESTINATION, self.other, "a", b"newer")
        self.alike("a", 2)
        self.assertEqual(self.read(SOURCE, self.one, "a"), b"newer")


if __name__ == "__main__":
    unittest.main()
