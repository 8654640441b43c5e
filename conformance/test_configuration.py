"""Replication configurations that are refused, with S3's codes and words; and what is given back of
one that is taken. A text is compared whole where it was recorded from the service; where only its
sense is known, for that."""

import unittest

from support import Case, DESTINATION, PREFIX, SOURCE, arn, client, first_rule, raw, role, rule

MALFORMED = (
    "The XML you provided was not well-formed or did not validate against our published schema"
)
SCHEMA = (
    "for this version of Cross Region Replication configuration schema. "
    "Please refer to S3 Developer Guide for more information."
)


def timed(**changes):
    """Replication time control as it has to be, but for the changes; None leaves a member out."""
    whole = {
        "ReplicationTime": {"Status": "Enabled", "Time": {"Minutes": 15}},
        "Metrics": {"Status": "Enabled", "EventThreshold": {"Minutes": 15}},
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


class Refused(Case):
    """Rows of the table of errors, in its order."""

    def setUp(self):
        self.source, self.destination = self.pair()
        self.s3 = client(SOURCE)

    def put_refused(self, code, status, *rules, text=None, pattern=None, bucket=None):
        """Replication with these rules is refused, and leaves what was there."""
        bucket = bucket or self.source
        error = self.refused(
            self.s3.put_bucket_replication, code, status, text, pattern, Bucket=bucket,
            ReplicationConfiguration={"Role": role(), "Rules": list(rules)},
        )
        self.refused(
            self.s3.get_bucket_replication, "ReplicationConfigurationNotFoundError", 404,
            Bucket=bucket,
        )
        return error

    def rule(self, **destination):
        """A rule with more in its destination."""
        return rule(self.destination, Destination={"Bucket": arn(self.destination), **destination})

    def test_get_where_none_is_set(self):
        error = self.refused(
            self.s3.get_bucket_replication, "ReplicationConfigurationNotFoundError", 404,
            "The replication configuration was not found", Bucket=self.source,
        )
        self.assertEqual(error["BucketName"], self.source)

    def test_a_source_that_is_not_versioned(self):
        plain = self.bucket(SOURCE, versioned=False)
        for _ in range(2):
            self.put_refused(
                "InvalidRequest", 400, rule(self.destination), bucket=plain,
                text="Versioning must be 'Enabled' on the bucket to apply a replication "
                     "configuration",
            )
            self.versioning(SOURCE, plain, "Suspended")

    def test_a_destination_that_is_not_there(self):
        self.put_refused(
            "InvalidRequest", 400, rule(f"{PREFIX}nobody-has-this"),
            text="Destination bucket must have versioning enabled.",
        )

    def test_a_destination_that_is_not_versioned(self):
        plain = self.bucket(DESTINATION, versioned=False)
        self.put_refused(
            "InvalidRequest", 400, rule(plain),
            text="Destination bucket must have versioning enabled.",
        )

    def test_no_rules(self):
        self.put_refused("MalformedXML", 400, text=MALFORMED)

    def test_deleting_where_none_is_set(self):
        for _ in range(2):
            answer = self.s3.delete_bucket_replication(Bucket=self.source)
            self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], 204)

    def test_suspending_versioning_while_one_is_set(self):
        self.replicate(SOURCE, self.source, rule(self.destination))
        self.refused(
            self.s3.put_bucket_versioning, "InvalidBucketState", 409,
            "A replication configuration is present on this bucket, so you cannot change the "
            "versioning state. To change the versioning state, first delete the replication "
            "configuration.",
            Bucket=self.source, VersioningConfiguration={"Status": "Suspended"},
        )
        self.s3.delete_bucket_replication(Bucket=self.source)
        self.versioning(SOURCE, self.source, "Suspended")

    def test_delete_markers_in_the_first_schema(self):
        self.put_refused(
            "InvalidRequest", 400,
            first_rule(self.destination, DeleteMarkerReplication={"Status": "Enabled"}),
            text=f"DeleteMarkerReplication cannot be used {SCHEMA}",
        )

    def test_no_word_on_delete_markers_in_the_second_schema(self):
        whole = rule(self.destination)
        del whole["DeleteMarkerReplication"]
        self.put_refused(
            "InvalidRequest", 400, whole,
            pattern="^DeleteMarkerReplication must be specified for this version",
        )

    def test_two_destinations_in_the_first_schema(self):
        other = self.bucket(DESTINATION)
        self.put_refused(
            "InvalidRequest", 400, first_rule(self.destination, "a"), first_rule(other, "b"),
            text="Number of distinct destination bucket ARNs cannot exceed 1",
        )

    def test_an_owner_without_an_account(self):
        self.put_refused(
            "InvalidRequest", 400, self.rule(AccessControlTranslation={"Owner": "Destination"}),
            pattern="(?i)account.*specified|specified.*account",
        )

    def test_time_control_without_metrics(self):
        self.put_refused(
            "InvalidRequest", 400, self.rule(**timed(Metrics=None)),
            pattern="(?i)ReplicationTime.*Metrics|Metrics.*ReplicationTime",
        )

    def test_time_control_and_metrics_of_different_status(self):
        self.put_refused(
            "InvalidRequest", 400,
            self.rule(**timed(Metrics={"Status": "Disabled", "EventThreshold": {"Minutes": 15}})),
            pattern="(?i)status",
        )

    def test_an_empty_account(self):
        self.put_refused("InvalidRequest", 400, self.rule(Account=""), pattern="(?i)account")

    def test_an_account_that_is_not_the_owners(self):
        self.put_refused(
            "InvalidArgument", 400, self.rule(Account="999988887777"), pattern="(?i)account"
        )

    def test_time_control_without_a_time(self):
        self.raw_refused(
            "<ReplicationTime><Status>Enabled</Status></ReplicationTime>"
            "<Metrics><Status>Enabled</Status><EventThreshold><Minutes>15</Minutes>"
            "</EventThreshold></Metrics>"
        )

    def test_time_control_without_a_status(self):
        self.raw_refused(
            "<ReplicationTime><Time><Minutes>15</Minutes></Time></ReplicationTime>"
            "<Metrics><Status>Enabled</Status><EventThreshold><Minutes>15</Minutes>"
            "</EventThreshold></Metrics>"
        )

    def test_metrics_without_a_status(self):
        self.raw_refused(
            "<ReplicationTime><Status>Enabled</Status><Time><Minutes>15</Minutes></Time>"
            "</ReplicationTime><Metrics><EventThreshold><Minutes>15</Minutes></EventThreshold>"
            "</Metrics>"
        )

    def raw_refused(self, members):
        """What no SDK would send: `InvalidArgument`, or `MalformedXML` by the schema."""
        text = (
            '<ReplicationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Role>{role()}</Role><Rule><ID>a</ID><Priority>1</Priority><Filter/>"
            "<Status>Enabled</Status><DeleteMarkerReplication><Status>Disabled</Status>"
            f"</DeleteMarkerReplication><Destination><Bucket>{arn(self.destination)}</Bucket>"
            f"{members}</Destination></Rule></ReplicationConfiguration>"
        )
        import base64
        import hashlib
        digest = base64.b64encode(hashlib.md5(text.encode()).digest()).decode()
        status, _, answer = raw(
            SOURCE, "PUT", f"/{self.source}", "replication", text.encode(),
            {"Content-MD5": digest, "Content-Type": "application/xml"},
        )
        self.assertEqual(status, 400, answer)
        self.assertRegex(answer, b"<Code>(InvalidArgument|MalformedXML)</Code>")

    def test_time_control_of_other_than_15_minutes(self):
        for minutes in (14, 16, 0, -1):
            self.put_refused(
                "InvalidArgument", 400,
                self.rule(**timed(ReplicationTime={
                    "Status": "Enabled", "Time": {"Minutes": minutes},
                })),
            )

    def test_a_threshold_of_other_than_15_minutes(self):
        self.put_refused(
            "InvalidArgument", 400,
            self.rule(**timed(Metrics={"Status": "Enabled", "EventThreshold": {"Minutes": 5}})),
        )

    def test_time_control_with_metrics_without_a_threshold(self):
        self.put_refused(
            "InvalidArgument", 400, self.rule(**timed(Metrics={"Status": "Enabled"})),
            pattern="(?i)threshold",
        )

    def test_an_id_that_is_not_ascii(self):
        self.put_refused("InvalidArgument", 400, rule(self.destination, ID="grün"))

    def test_two_rules_of_one_id(self):
        self.put_refused(
            "InvalidRequest", 400, rule(self.destination, 1, ID="a", Filter={"Prefix": "a"}),
            rule(self.destination, 2, ID="a", Filter={"Prefix": "b"}),
            text="Rule Id must be unique",
        )

    def test_an_id_that_is_too_long(self):
        self.put_refused(
            "InvalidArgument", 400, rule(self.destination, ID="a" * 256),
            text="Rule Id cannot be greater than 255",
        )
        self.replicate(SOURCE, self.source, rule(self.destination, ID="a" * 255))

    def test_a_prefix_that_is_too_long(self):
        text = "Rule prefix cannot be longer than maximum allowed key length of 1024"
        self.put_refused(
            "InvalidArgument", 400, rule(self.destination, Filter={"Prefix": "a" * 1025}), text=text
        )
        self.put_refused(
            "InvalidArgument", 400, first_rule(self.destination, "a" * 1025), text=text
        )
        self.replicate(SOURCE, self.source, rule(self.destination, Filter={"Prefix": "a" * 1024}))

    def test_too_many_rules(self):
        rules = [
            rule(self.destination, number, ID=str(number), Filter={"Prefix": f"{number}/"})
            for number in range(1001)
        ]
        self.put_refused(
            "InvalidRequest", 400, *rules,
            text="Number of defined replication rules cannot exceed 1000",
        )
        self.replicate(SOURCE, self.source, *rules[:1000])

    def test_prefixes_that_overlap_in_the_first_schema(self):
        self.put_refused(
            "InvalidRequest", 400, first_rule(self.destination, "a"),
            first_rule(self.destination, "ab"), text="Found overlapping prefixes 'a' and 'ab'",
        )

    def test_a_destination_that_is_no_arn(self):
        for text in ("a-bucket", "arn:aws:sqs:::queue", "arn:aws:s3::", ""):
            self.put_refused(
                "InvalidArgument", 400, rule(self.destination, Destination={"Bucket": text}),
                text="Invalid bucket ARN",
            )

    def test_a_destination_that_is_no_buckets_name(self):
        self.put_refused(
            "InvalidArgument", 400,
            rule(self.destination, Destination={"Bucket": "arn:aws:s3:::No_Bucket"}),
            pattern="^The specified bucket is not valid",
        )

    def test_two_rules_of_one_priority_in_the_second_schema(self):
        self.put_refused(
            "InvalidRequest", 400, rule(self.destination, 1, Filter={"Prefix": "a"}),
            rule(self.destination, 1, Filter={"Prefix": "b"}), pattern="(?i)duplicate priority",
        )

    def test_delete_markers_with_a_filter_of_tags(self):
        tag = {"Key": "colour", "Value": "green"}
        for filter in ({"Tag": tag}, {"And": {"Prefix": "a", "Tags": [tag]}}):
            self.put_refused(
                "InvalidRequest", 400, rule(self.destination, markers="Enabled", Filter=filter),
                pattern="^Delete marker replication is not supported if any Tag filter is "
                        "specified",
            )

    def test_a_destination_that_is_the_source(self):
        self.put_refused(
            "InvalidRequest", 400, rule(self.source),
            text="Destination bucket cannot be the same as the source bucket.",
        )

    def test_no_priority_in_the_second_schema(self):
        whole = rule(self.destination)
        del whole["Priority"]
        self.put_refused("InvalidRequest", 400, whole, pattern="^Priority must be specified")


class Taken(Case):
    """What comes back of a configuration that was taken."""

    def test_the_second_schema_with_everything_in_it(self):
        source, destination = self.pair()
        other = self.bucket(DESTINATION)
        account = client(SOURCE, "sts").get_caller_identity()["Account"]
        tag = {"Key": "colour", "Value": "green"}
        rules = [
            rule(destination, 1, "Enabled", ID="everything"),
            rule(destination, 2, ID="prefix", Filter={"Prefix": "logs/"}),
            rule(destination, 3, ID="tag", Filter={"Tag": tag}, Status="Disabled"),
            rule(
                destination, 4, ID="both",
                Filter={"And": {"Prefix": "a", "Tags": [tag, {"Key": "b", "Value": ""}]}},
                SourceSelectionCriteria={"ReplicaModifications": {"Status": "Enabled"}},
            ),
            rule(other, 5, ID="other", Destination={
                "Bucket": arn(other), "Account": account, "StorageClass": "STANDARD_IA",
                "AccessControlTranslation": {"Owner": "Destination"}, **timed(),
            }),
        ]
        self.replicate(SOURCE, source, *rules)
        got = client(SOURCE).get_bucket_replication(Bucket=source)["ReplicationConfiguration"]
        self.assertEqual(got["Role"], role())
        by_id = {one["ID"]: one for one in got["Rules"]}
        self.assertEqual(by_id, {one["ID"]: one for one in rules})

    def test_a_rule_without_an_id_is_given_one(self):
        source, destination = self.pair()
        self.replicate(SOURCE, source, rule(destination))
        (got,) = client(SOURCE).get_bucket_replication(Bucket=source)["ReplicationConfiguration"][
            "Rules"]
        self.assertRegex(got.pop("ID"), r"^[\x21-\x7e]{1,255}$")
        self.assertEqual(got, rule(destination))

    def test_the_first_schema(self):
        source, destination = self.pair()
        rules = [first_rule(destination, "a/", ID="a"), first_rule(destination, "b/", ID="b")]
        self.replicate(SOURCE, source, *rules)
        got = client(SOURCE).get_bucket_replication(Bucket=source)["ReplicationConfiguration"]
        by_id = {one["ID"]: one for one in got["Rules"]}
        self.assertEqual(by_id, {one["ID"]: one for one in rules})

    def test_one_that_is_deleted_is_gone(self):
        source, destination = self.pair()
        self.replicate(SOURCE, source, rule(destination))
        client(SOURCE).delete_bucket_replication(Bucket=source)
        self.refused(
            client(SOURCE).get_bucket_replication, "ReplicationConfigurationNotFoundError", 404,
            Bucket=source,
        )
        self.put(SOURCE, source, "a")
        self.assertIsNone(self.status(SOURCE, source, "a"))


if __name__ == "__main__":
    unittest.main()
