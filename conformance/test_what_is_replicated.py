"""What is replicated and what is not: one test for each row of S3's own list."""

import datetime
import os
import time
import unittest

from support import (
    Case, DESTINATION, FURTHER, SOURCE, QUIET, body, client, customer_key, document, eventually,
    first_rule, midnight, raw, rule, stamp,
)

# How S3 and others refuse what they don't have.
WITHOUT = ("NotImplemented", "InvalidStorageClass", "InvalidArgument", "KMS.NotFoundException",
           "InvalidEncryptionAlgorithmError", "InvalidRequest")


class Objects(Case):
    """New objects and what comes with them."""

    def setUp(self):
        self.source, self.destination = self.pair()
        self.replicate(SOURCE, self.source, rule(self.destination))

    def test_objects_created_after_the_configuration_are(self):
        for size in (0, 5, 100_003):
            data = body(size)
            put = self.put(SOURCE, self.source, f"new-{size}", data)
            self.settles(SOURCE, self.source, f"new-{size}", "COMPLETED")
            replica = client(DESTINATION).get_object(
                Bucket=self.destination, Key=f"new-{size}", VersionId=put["VersionId"]
            )
            self.assertEqual(replica["Body"].read(), data)
            self.assertEqual(replica["ReplicationStatus"], "REPLICA")

    def test_every_version_of_a_key_is_in_its_order(self):
        made = [self.put(SOURCE, self.source, "often", b"%d" % n)["VersionId"] for n in range(5)]
        eventually(
            lambda: len(self.versions(DESTINATION, self.destination, "often")) == 5, "5 versions"
        )
        listed = client(DESTINATION).list_object_versions(Bucket=self.destination)["Versions"]
        self.assertEqual([version["VersionId"] for version in listed], made[::-1])
        self.assertEqual([version["IsLatest"] for version in listed], [True] + 4 * [False])
        self.assertEqual(self.read(DESTINATION, self.destination, "often"), b"4")

    def test_objects_under_the_services_keys_are(self):
        data = body()
        self.put(SOURCE, self.source, "sealed", data, ServerSideEncryption="AES256")
        replica = self.arrives(DESTINATION, self.destination, "sealed")
        self.assertEqual(replica["ServerSideEncryption"], "AES256")
        self.assertEqual(self.read(DESTINATION, self.destination, "sealed"), data)

    def test_objects_under_the_customers_key_are_and_stay_under_it(self):
        data, key = body(), customer_key()
        put = self.put(SOURCE, self.source, "customers", data, **key)
        replica = self.arrives(DESTINATION, self.destination, "customers", **key)
        self.assertEqual(replica["SSECustomerKeyMD5"], put["SSECustomerKeyMD5"])
        self.assertEqual(replica["VersionId"], put["VersionId"])
        self.assertEqual(self.read(DESTINATION, self.destination, "customers", **key), data)
        self.refused(
            client(DESTINATION).get_object, "InvalidRequest", 400,
            Bucket=self.destination, Key="customers",
        )

    def test_objects_under_kms_are_only_where_the_rule_says_so(self):
        self.unless_refused(
            "KMS", WITHOUT, self.put, region=SOURCE, bucket=self.source, key="kms",
            ServerSideEncryption="aws:kms",
        )
        self.fence(self.source, self.destination, ServerSideEncryption="AES256")
        self.assertIsNone(self.head(DESTINATION, self.destination, "kms"))

    def test_metadata_version_id_and_creation_time_are_kept(self):
        expires = datetime.datetime(2033, 5, 18, 3, 33, 20, tzinfo=datetime.timezone.utc)
        put = self.put(
            SOURCE, self.source, "described", ContentType="text/x-rows",
            CacheControl="max-age=60", ContentDisposition='attachment; filename="a b"',
            ContentEncoding="identity", ContentLanguage="de", Expires=expires,
            Metadata={"colour": "green", "empty": "", "mixed-Case": "Value"},
            ChecksumAlgorithm="SHA256",
        )
        first = self.head(SOURCE, self.source, "described", ChecksumMode="ENABLED")
        replica = self.arrives(
            DESTINATION, self.destination, "described", ChecksumMode="ENABLED"
        )
        for name in ("VersionId", "LastModified", "ETag", "ContentLength", "ContentType",
                     "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage",
                     "ExpiresString", "Metadata", "ChecksumSHA256"):
            self.assertEqual(replica.get(name), first.get(name), name)
        self.assertEqual(replica["VersionId"], put["VersionId"])
        self.assertEqual(replica["Metadata"]["colour"], "green")

    def test_an_object_uploaded_in_parts_keeps_its_parts(self):
        s3, parts = client(SOURCE), []
        upload = s3.create_multipart_upload(Bucket=self.source, Key="parts")["UploadId"]
        where = {"Bucket": self.source, "Key": "parts", "UploadId": upload}
        whole = [body(5 * 1024 * 1024), body(1000)]
        for number, data in enumerate(whole, 1):
            part = s3.upload_part(**where, PartNumber=number, Body=data)
            parts.append({"ETag": part["ETag"], "PartNumber": number})
        made = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        replica = self.arrives(DESTINATION, self.destination, "parts", PartNumber=2)
        self.assertEqual(replica["ETag"], made["ETag"])
        self.assertEqual((replica["PartsCount"], replica["ContentLength"]), (2, 1000))
        self.assertEqual(self.read(DESTINATION, self.destination, "parts"), b"".join(whole))

    def test_tags_at_creation_are(self):
        self.put(SOURCE, self.source, "tagged", Tagging="colour=green&empty=")
        self.arrives(DESTINATION, self.destination, "tagged")
        self.assertEqual(self.tags("tagged"), {"colour": "green", "empty": ""})

    def tags(self, key):
        answer = client(DESTINATION).get_object_tagging(Bucket=self.destination, Key=key)
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def test_tags_changed_after_creation_are(self):
        put = self.put(SOURCE, self.source, "tagged")
        self.arrives(DESTINATION, self.destination, "tagged")
        where = {"Bucket": self.source, "Key": "tagged", "VersionId": put["VersionId"]}
        tags = {"TagSet": [{"Key": "colour", "Value": "red"}]}
        client(SOURCE).put_object_tagging(**where, Tagging=tags)
        eventually(lambda: self.tags("tagged") == {"colour": "red"}, "the tag has come")
        client(SOURCE).delete_object_tagging(**where)
        eventually(lambda: self.tags("tagged") == {}, "the tag is gone")
        self.assertEqual(len(self.versions(DESTINATION, self.destination, "tagged")), 1)

    def test_acl_changes_after_creation_are(self):
        for region, bucket in ((SOURCE, self.source), (DESTINATION, self.destination)):
            client(region).delete_public_access_block(Bucket=bucket)
            client(region).put_bucket_ownership_controls(
                Bucket=bucket,
                OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]},
            )
        self.put(SOURCE, self.source, "open")
        self.arrives(DESTINATION, self.destination, "open")
        client(SOURCE).put_object_acl(Bucket=self.source, Key="open", ACL="public-read")

        def everybody():
            acl = client(DESTINATION).get_object_acl(Bucket=self.destination, Key="open")
            return [g["Permission"] for g in acl["Grants"]
                    if g["Grantee"].get("URI", "").endswith("/AllUsers")] == ["READ"]

        eventually(everybody, "everybody may read the replica")

    def test_annotations_are(self):
        self.put(SOURCE, self.source, "noted", b"data")
        status, _, answer = raw(
            SOURCE, "PUT", f"/{self.source}/noted", "annotation=note", b"an annotation"
        )
        # Whoever doesn't know annotations must not take one for the object.
        self.assertEqual(self.read(SOURCE, self.source, "noted"), b"data")
        if status >= 400:
            self.skipTest(f"NOT TESTED: this endpoint has no annotations: {status} {answer[:200]}")
        eventually(
            lambda: raw(DESTINATION, "GET", f"/{self.destination}/noted", "annotation=note")[0]
            == 200, "the annotation has come",
        )

    def test_objects_in_archive_are_not(self):
        self.unless_refused(
            "archive", WITHOUT, self.put, region=SOURCE, bucket=self.source, key="archived",
            StorageClass="GLACIER",
        )
        self.fence(self.source, self.destination)
        self.assertIsNone(self.head(DESTINATION, self.destination, "archived"))

    def test_objects_that_the_owner_cannot_read_are_not(self):
        other = os.environ.get("CONFORMANCE_OTHER_PROFILE")
        if not other:
            self.skipTest("NOT TESTED: CONFORMANCE_OTHER_PROFILE names no other account")
        import boto3
        session = boto3.Session(profile_name=other)
        account = session.client("sts").get_caller_identity()["Account"]
        client(SOURCE).put_bucket_ownership_controls(
            Bucket=self.source, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        )
        client(SOURCE).put_bucket_policy(Bucket=self.source, Policy=document({
            "Effect": "Allow", "Principal": {"AWS": account}, "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{self.source}/*",
        }))
        session.client("s3", region_name=SOURCE).put_object(
            Bucket=self.source, Key="theirs", Body=b"theirs", ACL="private"
        )
        self.fence(self.source, self.destination)
        self.assertIsNone(self.head(DESTINATION, self.destination, "theirs"))


class Locks(Case):
    """Object Lock."""

    def setUp(self):
        self.source, self.destination = self.pair(lock=True)
        self.replicate(SOURCE, self.source, rule(self.destination))

    def test_retention_changed_after_creation_is(self):
        put = self.put(SOURCE, self.source, "kept")
        self.arrives(DESTINATION, self.destination, "kept")
        until = midnight(2)
        client(SOURCE).put_object_retention(
            Bucket=self.source, Key="kept", VersionId=put["VersionId"],
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until},
        )
        replica = eventually(
            lambda: (head := self.head(DESTINATION, self.destination, "kept"))
            and head.get("ObjectLockMode") and head, "the retention has come",
        )
        self.assertEqual(replica["ObjectLockMode"], "GOVERNANCE")
        self.assertEqual(replica["ObjectLockRetainUntilDate"], until)
        self.refused(
            client(DESTINATION).delete_object, "AccessDenied", 403,
            Bucket=self.destination, Key="kept", VersionId=put["VersionId"],
        )

    def test_legal_hold_changed_after_creation_is(self):
        put = self.put(SOURCE, self.source, "held")
        self.arrives(DESTINATION, self.destination, "held")
        for status in ("ON", "OFF"):
            client(SOURCE).put_object_legal_hold(
                Bucket=self.source, Key="held", VersionId=put["VersionId"],
                LegalHold={"Status": status},
            )
            # Where there is none, it may go unsaid.
            eventually(
                lambda: self.head(DESTINATION, self.destination, "held")
                .get("ObjectLockLegalHoldStatus", "OFF") == status, f"the hold is {status}",
            )

    def test_the_destinations_default_retention_is_for_what_has_none(self):
        client(DESTINATION).put_object_lock_configuration(
            Bucket=self.destination, ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
            },
        )
        self.put(SOURCE, self.source, "bare")
        until = midnight(30)
        self.put(SOURCE, self.source, "kept", ObjectLockMode="GOVERNANCE",
                 ObjectLockRetainUntilDate=until)
        self.assertEqual(
            self.arrives(DESTINATION, self.destination, "bare").get("ObjectLockMode"), "GOVERNANCE"
        )
        kept = self.arrives(DESTINATION, self.destination, "kept")
        self.assertEqual(kept["ObjectLockRetainUntilDate"], until)


class Others(Case):
    """What was there before, what came from elsewhere, what isn't an object."""

    def test_objects_from_before_the_configuration_are_not(self):
        source, destination = self.pair()
        self.put(SOURCE, source, "old")
        self.replicate(SOURCE, source, rule(destination))
        fence = self.fence(source, destination)
        self.assertEqual(self.keys(DESTINATION, destination), {fence})
        self.assertIsNone(self.status(SOURCE, source, "old"))

    def test_objects_replicated_before_the_destination_was_changed_are_not(self):
        source, destination, further = self.pair(further=True)
        self.replicate(SOURCE, source, rule(destination))
        self.put(SOURCE, source, "early")
        self.settles(SOURCE, source, "early", "COMPLETED")
        self.replicate(SOURCE, source, rule(further))
        fence = self.fence(source, further, regions=(SOURCE, FURTHER))
        self.assertEqual(self.keys(FURTHER, further), {fence})
        self.assertEqual(self.keys(DESTINATION, destination), {"early"})

    def test_replicas_made_by_another_rule_are_not(self):
        source, destination, further = self.pair(further=True)
        self.replicate(DESTINATION, destination, rule(further))
        self.replicate(SOURCE, source, rule(destination))
        self.put(SOURCE, source, "once")
        replica = self.arrives(DESTINATION, destination, "once")
        self.assertEqual(replica["ReplicationStatus"], "REPLICA")
        fence = self.fence(destination, further, regions=(DESTINATION, FURTHER))
        self.assertEqual(self.keys(FURTHER, further), {fence})

    def test_sub_resources_of_the_bucket_are_not(self):
        source, destination = self.pair()
        self.replicate(SOURCE, source, rule(destination))
        near, far = client(SOURCE), client(DESTINATION)
        tags = {"TagSet": [{"Key": "colour", "Value": "green"}]}
        near.put_bucket_tagging(Bucket=source, Tagging=tags)
        near.put_bucket_lifecycle_configuration(Bucket=source, LifecycleConfiguration={"Rules": [
            {"ID": "a", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 3000}}
        ]})
        near.put_bucket_cors(Bucket=source, CORSConfiguration={"CORSRules": [
            {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}
        ]})
        near.put_bucket_policy(Bucket=source, Policy=document({
            "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{source}/nothing",
        }))
        self.fence(source, destination)
        where = {"Bucket": destination}
        self.refused(far.get_bucket_tagging, "NoSuchTagSet", 404, **where)
        self.refused(far.get_bucket_cors, "NoSuchCORSConfiguration", 404, **where)
        self.refused(far.get_bucket_policy, "NoSuchBucketPolicy", 404, **where)
        self.refused(
            far.get_bucket_lifecycle_configuration, "NoSuchLifecycleConfiguration", 404, **where
        )

    def test_lifecycle_actions_are_not(self):
        seconds = os.environ.get("CONFORMANCE_LIFECYCLE")
        if not seconds:
            self.skipTest("NOT TESTED: CONFORMANCE_LIFECYCLE is not set")
        source, destination = self.pair()
        self.replicate(SOURCE, source, rule(destination, markers="Enabled"))
        self.put(SOURCE, source, "expires/a")
        self.settles(SOURCE, source, "expires/a", "COMPLETED")
        client(SOURCE).put_bucket_lifecycle_configuration(
            Bucket=source, LifecycleConfiguration={"Rules": [{
                "ID": "past", "Status": "Enabled", "Filter": {"Prefix": "expires/"},
                "Expiration": {"Date": midnight(-1)},
            }]},
        )
        eventually(lambda: self.marker(SOURCE, source, "expires/a"), "it expires", float(seconds))
        self.fence(source, destination)
        self.assertIsNotNone(self.head(DESTINATION, destination, "expires/a"))


class Deletions(Case):
    """Delete markers, and deletions of versions."""

    def replicated(self, *rules, **more):
        source, destination = self.pair()
        self.replicate(SOURCE, source, *[make(destination) for make in rules])
        put = self.put(SOURCE, source, "gone", **more)
        self.arrives(DESTINATION, destination, "gone")
        return source, destination, put["VersionId"]

    def test_delete_markers_are_under_the_first_schema(self):
        source, destination, _ = self.replicated(first_rule)
        deleted = client(SOURCE).delete_object(Bucket=source, Key="gone")
        marker = eventually(
            lambda: self.marker(DESTINATION, destination, "gone"), "the marker has come"
        )
        self.assertEqual(marker["VersionId"], deleted["VersionId"])

    def test_delete_markers_are_where_the_rule_says_so(self):
        source, destination, _ = self.replicated(lambda to: rule(to, markers="Enabled"))
        deleted = client(SOURCE).delete_object(Bucket=source, Key="gone")
        marker = eventually(
            lambda: self.marker(DESTINATION, destination, "gone"), "the marker has come"
        )
        self.assertEqual(marker["VersionId"], deleted["VersionId"])
        self.assertEqual(stamp(marker), stamp(self.marker(SOURCE, source, "gone")))
        self.refused(
            client(DESTINATION).get_object, "NoSuchKey", 404, Bucket=destination, Key="gone"
        )

    def test_delete_markers_are_not_where_the_rule_does_not_say_so(self):
        source, destination, _ = self.replicated(rule)
        client(SOURCE).delete_object(Bucket=source, Key="gone")
        self.fence(source, destination)
        self.assertIsNone(self.marker(DESTINATION, destination, "gone"))
        self.assertIsNotNone(self.head(DESTINATION, destination, "gone"))

    def test_delete_markers_are_never_under_a_rule_of_tags(self):
        only = {"Tag": {"Key": "colour", "Value": "green"}}
        source, destination, _ = self.replicated(
            lambda to: rule(to, Filter=only), Tagging="colour=green"
        )
        client(SOURCE).delete_object(Bucket=source, Key="gone")
        self.fence(source, destination, Tagging="colour=green")
        self.assertIsNone(self.marker(DESTINATION, destination, "gone"))

    def test_deletions_of_a_version_never_are(self):
        source, destination, version = self.replicated(
            lambda to: rule(to, markers="Enabled")
        )
        client(SOURCE).delete_object(Bucket=source, Key="gone", VersionId=version)
        self.fence(source, destination)
        self.assertIsNotNone(self.head(DESTINATION, destination, "gone", version))

    def test_deletions_of_a_marker_never_are(self):
        source, destination, _ = self.replicated(lambda to: rule(to, markers="Enabled"))
        marker = client(SOURCE).delete_object(Bucket=source, Key="gone")["VersionId"]
        eventually(lambda: self.marker(DESTINATION, destination, "gone"), "the marker has come")
        client(SOURCE).delete_object(Bucket=source, Key="gone", VersionId=marker)
        self.assertIsNotNone(self.head(SOURCE, source, "gone"))
        self.fence(source, destination)
        self.assertIsNotNone(self.marker(DESTINATION, destination, "gone"))

    def test_a_repeated_deletion_makes_no_marker_twice(self):
        source, destination, _ = self.replicated(lambda to: rule(to, markers="Enabled"))
        made = [client(SOURCE).delete_object(Bucket=source, Key="gone")["VersionId"]
                for _ in range(3)]
        eventually(lambda: len(self.versions(DESTINATION, destination, "gone")) >= 4, "all came")
        time.sleep(QUIET)
        markers = [v["VersionId"] for v in self.versions(DESTINATION, destination, "gone")
                   if v["Marker"]]
        self.assertEqual(sorted(markers), sorted(made))


if __name__ == "__main__":
    unittest.main()
