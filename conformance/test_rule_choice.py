"""Which rules an object is replicated by: all that match, and of those to one destination the one
of the highest priority. The storage class of the replica tells which it was."""

import unittest

from support import Case, DESTINATION, FURTHER, SOURCE, arn, client, rule

GREEN = {"Key": "colour", "Value": "green"}


class Choice(Case):
    """The choice of rules."""

    def test_of_two_rules_to_one_destination_the_higher_priority_is_used(self):
        source, destination = self.pair()
        to = lambda storage: {"Bucket": arn(destination), "StorageClass": storage}
        self.replicate(
            SOURCE, source,
            rule(destination, 7, Destination=to("STANDARD_IA"), Filter={"Prefix": "a"}),
            rule(destination, 3, Destination=to("ONEZONE_IA")),
            rule(destination, 9, Destination=to("INTELLIGENT_TIERING"), Status="Disabled"),
        )
        for key, storage in (("a", "STANDARD_IA"), ("b", "ONEZONE_IA")):
            self.put(SOURCE, source, key)
            replica = self.arrives(DESTINATION, destination, key)
            self.assertEqual(replica["StorageClass"], storage)

    def test_rules_to_several_destinations_are_all_used(self):
        source, destination, further = self.pair(further=True)
        self.replicate(
            SOURCE, source, rule(destination, 1), rule(further, 2, Filter={"Prefix": "far/"})
        )
        self.put(SOURCE, source, "far/a")
        self.put(SOURCE, source, "near/a")
        self.arrives(DESTINATION, destination, "far/a")
        self.arrives(DESTINATION, destination, "near/a")
        self.arrives(FURTHER, further, "far/a")
        self.fence(source, further, key="far/fence", regions=(SOURCE, FURTHER))
        self.assertIsNone(self.head(FURTHER, further, "near/a"))

    def test_a_destination_in_the_same_region(self):
        source, same = self.bucket(SOURCE), self.bucket(SOURCE)
        self.replicate(SOURCE, source, rule(same))
        version = self.put(SOURCE, source, "a")["VersionId"]
        self.settles(SOURCE, source, "a", "COMPLETED")
        replica = self.head(SOURCE, same, "a", version)
        self.assertEqual(replica["ReplicationStatus"], "REPLICA")

    def test_tags_choose_at_creation_and_not_later(self):
        source, destination = self.pair()
        self.replicate(SOURCE, source, rule(destination, Filter={"Tag": GREEN}))
        self.put(SOURCE, source, "later")
        client(SOURCE).put_object_tagging(
            Bucket=source, Key="later", Tagging={"TagSet": [GREEN]}
        )
        self.put(SOURCE, source, "red", Tagging="colour=red")
        self.fence(source, destination, Tagging="colour=green&more=1")
        self.assertIsNone(self.head(DESTINATION, destination, "later"))
        self.assertIsNone(self.head(DESTINATION, destination, "red"))
        self.assertIsNone(self.status(SOURCE, source, "later"))

    def test_all_of_a_prefix_and_tags_must_match(self):
        source, destination = self.pair()
        both = {"And": {"Prefix": "a/", "Tags": [GREEN, {"Key": "size", "Value": "big"}]}}
        self.replicate(SOURCE, source, rule(destination, Filter=both))
        self.put(SOURCE, source, "a/green", Tagging="colour=green")
        self.put(SOURCE, source, "b/both", Tagging="colour=green&size=big")
        self.fence(source, destination, key="a/fence", Tagging="colour=green&size=big")
        self.assertIsNone(self.head(DESTINATION, destination, "a/green"))
        self.assertIsNone(self.head(DESTINATION, destination, "b/both"))


if __name__ == "__main__":
    unittest.main()
