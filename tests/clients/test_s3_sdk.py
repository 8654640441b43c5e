"""boto3 on buckets and objects: what an application does, and how it is refused."""

import concurrent.futures
import datetime
import hashlib
import io
import json
import os
import unittest
import urllib.error
import urllib.request

import botocore.handlers
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from lab import eventually
from s3 import IRELAND, SINGAPORE, VIRGINIA, Objects

MIB = 1024 * 1024


class Buckets(Objects):
    """Buckets."""

    def test_one_is_made_listed_and_deleted_when_empty(self):
        name = self.bucket(IRELAND)
        near, far = self.s3(), self.s3(IRELAND)
        listed = {bucket["Name"] for bucket in near.list_buckets()["Buckets"]}
        self.assertIn(name, listed)
        head = far.head_bucket(Bucket=name)
        self.assertEqual(head["BucketRegion"], IRELAND)
        far.put_object(Bucket=name, Key="a", Body=b"")
        self.refused("BucketNotEmpty", 409, far.delete_bucket, Bucket=name)
        far.delete_object(Bucket=name, Key="a")
        far.delete_bucket(Bucket=name)
        self.refused("NoSuchBucket", 404, far.list_objects_v2, Bucket=name)

    def test_a_name_is_one_buckets_in_all_regions(self):
        name = self.bucket()
        self.refused(
            "BucketAlreadyOwnedByYou", 409, self.s3(IRELAND).create_bucket, Bucket=name,
            CreateBucketConfiguration={"LocationConstraint": IRELAND},
        )
        for bad in ("ab", "Upper-case", "two..dots", "192.168.0.1", "xn--name", "a-s3alias"):
            self.refused(
                "InvalidBucketName", 400, self.unchecked().create_bucket,
                "The specified bucket is not valid.", Bucket=bad,
            )

    def unchecked(self):
        """A client that lets any name out."""
        client = self.lab.client(VIRGINIA, "s3")
        client.meta.events.unregister(
            "before-parameter-build.s3", botocore.handlers.validate_bucket_name
        )
        return client

    def test_a_request_for_a_bucket_of_another_region_is_sent_there(self):
        name = self.bucket(IRELAND)
        self.s3(IRELAND).put_object(Bucket=name, Key="a", Body=b"far")
        status, headers, body = self.raw("GET", f"/{name}/a")
        self.assertEqual((status, headers.get("x-amz-bucket-region")), (301, IRELAND))
        self.assertIn(b"<Code>PermanentRedirect</Code>", body)
        status, headers, body = self.raw("HEAD", f"/{name}")
        self.assertEqual((status, headers.get("x-amz-bucket-region")), (301, IRELAND))
        self.assertEqual(body, b"")
        # And so the SDK finds it.
        self.assertEqual(self.read(name, "a", VIRGINIA), b"far")

    def test_a_signature_for_another_region_is_refused_by_name(self):
        name = self.bucket(IRELAND)
        status, headers, body = self.raw(
            "GET", f"/{name}", scope=VIRGINIA, address=self.lab.address(IRELAND)
        )
        self.assertEqual(status, 400, body)
        self.assertIn(b"<Code>AuthorizationHeaderMalformed</Code>", body)
        self.assertIn(b"<Region>eu-west-1</Region>", body)
        self.assertEqual(headers.get("x-amz-bucket-region"), IRELAND)


class Uploads(Objects):
    """The transfer manager, parts and copies."""

    def test_the_transfer_manager_up_and_down(self):
        bucket, data = self.bucket(), os.urandom(23 * MIB + 11)
        small = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
        self.s3().upload_fileobj(
            io.BytesIO(data), bucket, "large", Config=small,
            ExtraArgs={"Metadata": {"by": "manager"}, "ContentType": "text/plain"},
        )
        head = self.s3().head_object(Bucket=bucket, Key="large")
        self.assertEqual((head["ContentLength"], head["Metadata"]), (len(data), {"by": "manager"}))
        digests = [hashlib.md5(data[at:at + 5 * MIB]).digest()
                   for at in range(0, len(data), 5 * MIB)]
        etag = f'"{hashlib.md5(b"".join(digests)).hexdigest()}-{len(digests)}"'
        self.assertEqual(head["ETag"], etag)
        got = io.BytesIO()
        self.s3().download_fileobj(bucket, "large", got, Config=small)
        self.assertEqual(got.getvalue(), data)
        self.s3().copy({"Bucket": bucket, "Key": "large"}, bucket, "copy", Config=small)
        self.assertEqual(self.read(bucket, "copy"), data)
        part = self.s3().get_object(Bucket=bucket, Key="large", PartNumber=2)
        self.assertEqual((part["PartsCount"], part["ContentLength"]), (5, 5 * MIB))
        self.assertEqual(part["Body"].read(), data[5 * MIB:10 * MIB])
        uploads = self.s3().list_multipart_uploads(Bucket=bucket)
        self.assertEqual(uploads.get("Uploads", []), [])

    def upload(self, bucket, key, **more):
        answer = self.s3().create_multipart_upload(Bucket=bucket, Key=key, **more)
        return {"Bucket": bucket, "Key": key, "UploadId": answer["UploadId"]}

    def test_parts_are_listed_replaced_checked_and_aborted(self):
        bucket, s3 = self.bucket(), self.s3()
        where = self.upload(bucket, "parts", Metadata={"a": "b"})
        first = s3.upload_part(**where, PartNumber=1, Body=b"x" * MIB)
        second = s3.upload_part(**where, PartNumber=2, Body=b"y")
        listed = s3.list_parts(**where)["Parts"]
        self.assertEqual([(p["PartNumber"], p["Size"]) for p in listed], [(1, MIB), (2, 1)])
        made = lambda *parts: {"Parts": [
            {"PartNumber": number, "ETag": tag} for number, tag in parts
        ]}
        one, two = (1, first["ETag"]), (2, second["ETag"])
        complete = s3.complete_multipart_upload
        self.refused("EntityTooSmall", 400, complete, **where, MultipartUpload=made(one, two))
        self.refused("InvalidPartOrder", 400, complete, **where, MultipartUpload=made(two, one))
        self.refused("InvalidPart", 400, complete, **where, MultipartUpload=made(one, (3, one[1])))
        again = s3.upload_part(**where, PartNumber=1, Body=b"z" * (5 * MIB))
        answer = complete(**where, MultipartUpload=made((1, again["ETag"]), two))
        self.assertRegex(answer["ETag"], r'-2"$')
        self.assertEqual(self.read(bucket, "parts"), b"z" * (5 * MIB) + b"y")
        self.assertEqual(s3.head_object(Bucket=bucket, Key="parts")["Metadata"], {"a": "b"})

        where = self.upload(bucket, "aborted")
        s3.upload_part(**where, PartNumber=1, Body=b"x")
        listed = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
        self.assertEqual([u["Key"] for u in listed], ["aborted"])
        s3.abort_multipart_upload(**where)
        self.refused("NoSuchUpload", 404, s3.list_parts, **where)
        self.refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="aborted")

    def test_a_part_is_copied_of_a_range(self):
        bucket, s3, data = self.bucket(), self.s3(), os.urandom(6 * MIB)
        s3.put_object(Bucket=bucket, Key="from", Body=data)
        where = self.upload(bucket, "to")
        source = {"Bucket": bucket, "Key": "from"}
        parts = []
        for number, span in ((1, f"bytes=0-{5 * MIB - 1}"), (2, "bytes=10-19")):
            part = s3.upload_part_copy(
                **where, PartNumber=number, CopySource=source, CopySourceRange=span
            )
            parts.append({"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]})
        s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        self.assertEqual(self.read(bucket, "to"), data[:5 * MIB] + data[10:20])

    def test_checksums_of_every_kind_are_kept_and_verified(self):
        bucket, s3 = self.bucket(), self.s3()
        for algorithm in ("CRC32", "SHA1", "SHA256"):
            put = s3.put_object(
                Bucket=bucket, Key=algorithm, Body=b"checked", ChecksumAlgorithm=algorithm
            )
            head = s3.head_object(Bucket=bucket, Key=algorithm, ChecksumMode="ENABLED")
            name = f"Checksum{algorithm}"
            self.assertEqual(head[name], put[name])
            self.assertEqual(head["ChecksumType"], "FULL_OBJECT")
        for name, value in (("ChecksumCRC32C", "AAAAAA=="), ("ChecksumCRC64NVME", "AAAAAAAAAAA="),
                            ("ChecksumCRC32", "AAAAAA=="), ("ChecksumSHA1", "A" * 27 + "=")):
            self.refused(
                "BadDigest", 400, s3.put_object, Bucket=bucket, Key="bad", Body=b"checked",
                **{name: value},
            )
        self.refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="bad")

    def test_copies_take_or_replace_metadata_and_tags(self):
        bucket, other, s3 = self.bucket(), self.bucket(), self.s3()
        s3.put_object(Bucket=bucket, Key="a/ü +?", Body=b"data", Metadata={"x": "1"},
                      ContentType="text/a", Tagging="t=1")
        source = {"Bucket": bucket, "Key": "a/ü +?"}
        s3.copy_object(Bucket=other, Key="same", CopySource=source)
        s3.copy_object(
            Bucket=other, Key="new", CopySource=source, MetadataDirective="REPLACE",
            Metadata={"y": "2"}, TaggingDirective="REPLACE", Tagging="u=2",
        )
        found = lambda key: (
            s3.head_object(Bucket=other, Key=key)["Metadata"],
            s3.get_object_tagging(Bucket=other, Key=key)["TagSet"],
        )
        self.assertEqual(found("same"), ({"x": "1"}, [{"Key": "t", "Value": "1"}]))
        self.assertEqual(found("new"), ({"y": "2"}, [{"Key": "u", "Value": "2"}]))
        self.assertEqual(self.read(other, "new"), b"data")
        self.refused(
            "InvalidRequest", 400, s3.copy_object, Bucket=bucket, Key=source["Key"],
            CopySource=source,
        )
        self.refused(
            "PreconditionFailed", 412, s3.copy_object, Bucket=other, Key="no", CopySource=source,
            CopySourceIfNoneMatch=s3.head_object(**source)["ETag"],
        )


class Reading(Objects):
    """Ranges, conditions and overrides."""

    def setUp(self):
        self.name, self.data = self.bucket(), os.urandom(200_000)
        put = self.s3().put_object(Bucket=self.name, Key="a", Body=self.data)
        self.etag = put["ETag"]

    def get(self, **more):
        return self.s3().get_object(Bucket=self.name, Key="a", **more)

    def test_ranges(self):
        size = len(self.data)
        for text, first, last in (
            ("bytes=0-0", 0, 0), ("bytes=65530-131080", 65530, 131080), ("bytes=-5", size - 5,
             size - 1), ("bytes=199990-", 199990, size - 1), ("bytes=10-999999", 10, size - 1),
        ):
            got = self.get(Range=text)
            self.assertEqual(got["ResponseMetadata"]["HTTPStatusCode"], 206)
            self.assertEqual(got["ContentRange"], f"bytes {first}-{last}/{size}")
            self.assertEqual(got["Body"].read(), self.data[first:last + 1])
        self.refused("InvalidRange", 416, self.get, Range=f"bytes={size}-")
        # What is no range is no condition either.
        for text in ("bytes=5-2", "lines=1-2", "bytes=a-b"):
            self.assertEqual(self.get(Range=text)["Body"].read(), self.data, text)

    def test_conditions(self):
        past = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
        self.assertEqual(self.get(IfMatch=self.etag)["ETag"], self.etag)
        self.refused("PreconditionFailed", 412, self.get, IfMatch='"other"')
        self.refused("304", 304, self.get, IfNoneMatch=self.etag)
        self.refused("304", 304, self.get, IfModifiedSince=datetime.datetime.now(
            datetime.timezone.utc))
        self.refused("PreconditionFailed", 412, self.get, IfUnmodifiedSince=past)
        # Entity tags go before dates.
        self.get(IfMatch=self.etag, IfUnmodifiedSince=past)

    def test_overrides_of_the_answers_headers(self):
        got = self.get(
            ResponseContentType="text/x", ResponseCacheControl="no-store",
            ResponseContentDisposition="attachment",
        )
        self.assertEqual(
            (got["ContentType"], got["CacheControl"], got["ContentDisposition"]),
            ("text/x", "no-store", "attachment"),
        )

    def test_presigned_puts_and_gets_and_what_has_expired(self):
        version4 = Config(signature_version="s3v4")
        s3 = self.lab.client(VIRGINIA, "s3", config=version4)
        where = {"Bucket": self.name, "Key": "by address"}
        address = s3.generate_presigned_url("put_object", Params=where, ExpiresIn=60)
        request = urllib.request.Request(address, data=b"put", method="PUT")
        with urllib.request.urlopen(request, timeout=20) as answer:
            self.assertEqual(answer.status, 200)
        self.assertEqual(self.read(self.name, "by address"), b"put")
        address = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=1)
        with self.assertRaises(urllib.error.HTTPError) as raised:
            eventually(lambda: urllib.request.urlopen(address, timeout=20) is None, 10)
        self.assertEqual(raised.exception.code, 403)
        text = raised.exception.read()
        self.assertIn(b"<Message>Request has expired</Message>", text)

    def test_what_boto3_presigns_unless_it_is_told_otherwise(self):
        # By Signature V2, in Regions as old as that; it names none: the bucket's is found.
        for region in (VIRGINIA, IRELAND, SINGAPORE):
            s3, bucket = self.s3(region), self.bucket(region)
            where = {"Bucket": bucket, "Key": "a b+ü"}
            more = {"ContentType": "text/x", "Metadata": {"one": "1"}}
            address = s3.generate_presigned_url("put_object", Params={**where, **more})
            self.assertIn("AWSAccessKeyId=", address)
            request = urllib.request.Request(address, data=b"put", method="PUT")
            # What the query says of it may be left out, and not be said otherwise.
            request.add_header("Content-Type", "text/other")
            with self.assertRaises(urllib.error.HTTPError) as raised:
                urllib.request.urlopen(request, timeout=20)
            self.assertIn(b"<Code>SignatureDoesNotMatch</Code>", raised.exception.read())
            request.add_header("Content-Type", "text/x")
            with urllib.request.urlopen(request, timeout=20) as answer:
                self.assertEqual(answer.status, 200)
            head = s3.head_object(**where)
            self.assertEqual((head["ContentType"], head["Metadata"]), ("text/x", {"one": "1"}))
            address = s3.generate_presigned_url(
                "get_object", Params={**where, "ResponseContentDisposition": 'x; f="a&b"'}
            )
            with urllib.request.urlopen(address, timeout=20) as answer:
                self.assertEqual(answer.read(), b"put")
                self.assertEqual(answer.headers["Content-Disposition"], 'x; f="a&b"')
            # It is for that object and that method, and nothing may be added that counts.
            for other, method in ((address, "DELETE"), (address + "&acl", "GET"),
                                  (address.replace("/a%20b", "/c"), "GET")):
                with self.assertRaises(urllib.error.HTTPError) as raised:
                    urllib.request.urlopen(
                        urllib.request.Request(other, method=method), timeout=20
                    )
                self.assertEqual(raised.exception.code, 403, other)
            # A browser asks first, by the same address.
            s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [
                {"AllowedMethods": ["GET"], "AllowedOrigins": ["http://app.test"]}]})
            version4 = self.lab.client(region, "s3", config=Config(signature_version="s3v4"))
            for asked in (address, version4.generate_presigned_url("get_object", Params=where)):
                request = urllib.request.Request(asked, method="OPTIONS", headers={
                    "Origin": "http://app.test", "Access-Control-Request-Method": "GET"})
                with urllib.request.urlopen(request, timeout=20) as answer:
                    allowed = answer.headers["Access-Control-Allow-Origin"]
                    self.assertEqual((answer.status, allowed), (200, "http://app.test"))
            address = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=-1)
            with self.assertRaises(urllib.error.HTTPError) as raised:
                urllib.request.urlopen(address, timeout=20)
            text = raised.exception.read()
            self.assertIn(b"<Message>Request has expired</Message>", text)
            self.assertIn(b"<Expires>", text)

    def post(self, form, name, data, **changes):
        """Uploads by that form, as a browser would; the answer's status and body."""
        lines = []
        for field, value in {**form["fields"], **changes}.items():
            lines += [b"--xx", b'Content-Disposition: form-data; name="%s"' % field.encode(), b"",
                      value.encode()]
        lines += [b"--xx", b'Content-Disposition: form-data; name="file"; filename="%s"'
                  % name.encode(), b"Content-Type: text/plain", b"", data, b"--xx--", b""]
        request = urllib.request.Request(form["url"], data=b"\r\n".join(lines), headers={
            "Content-Type": "multipart/form-data; boundary=xx"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def test_forms_of_browsers(self):
        version4 = self.lab.client(IRELAND, "s3", config=Config(signature_version="s3v4"))
        for region, s3 in ((VIRGINIA, self.s3()), (IRELAND, self.s3(IRELAND)),
                           (IRELAND, version4)):
            bucket = self.bucket(region)
            form = s3.generate_presigned_post(
                bucket, "user/${filename}", Fields={"acl": "private", "Content-Type": "text/x"},
                Conditions=[{"acl": "private"}, ["starts-with", "$Content-Type", "text/"],
                            ["content-length-range", 1, 1_000_000]],
            )
            data = os.urandom(300_000) + b"\r\n--x"
            self.assertEqual(self.post(form, "a.bin", data), (204, b""))
            got = s3.get_object(Bucket=bucket, Key="user/a.bin")
            self.assertEqual((got["Body"].read(), got["ContentType"]), (data, "text/x"))
            for changes, status, text in (
                ({"key": "other/k"}, 403, b"Policy Condition failed"),
                ({"x-amz-meta-a": "b"}, 403, b"Extra input fields"),
                ({"policy": form["fields"]["policy"][:-4]}, 403, b"SignatureDoesNotMatch"),
            ):
                answer = self.post(form, "b.bin", b"x", **changes)
                self.assertEqual(answer[0], status, answer)
                self.assertIn(text, answer[1])
            self.assertIn(b"EntityTooLarge", self.post(form, "c.bin", b"x" * 1_000_001)[1])
            self.assertEqual(self.keys(bucket, region), ["user/a.bin"])

    def test_clients_that_sign_by_version_2(self):
        bucket = self.bucket()
        old = self.lab.client(VIRGINIA, "s3", config=Config(signature_version="s3"))
        put = old.put_object(Bucket=bucket, Key="k", Body=b"old", Metadata={"a": "b"})
        self.assertEqual(put["ResponseMetadata"]["HTTPStatusCode"], 200)
        self.assertEqual(old.get_object(Bucket=bucket, Key="k")["Body"].read(), b"old")
        listed = old.list_objects_v2(Bucket=bucket, Prefix="k")["Contents"]
        self.assertEqual([entry["Key"] for entry in listed], ["k"])
        upload = old.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
        where = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
        etag = old.upload_part(**where, PartNumber=1, Body=b"part")["ETag"]
        parts = [{"PartNumber": 1, "ETag": etag}]
        old.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        self.assertEqual(self.read(bucket, "parts"), b"part")
        forged = self.lab.client(VIRGINIA, "s3", aws_secret_access_key="guess",
                                 config=Config(signature_version="s3"))
        self.refused("SignatureDoesNotMatch", 403, forged.get_object, Bucket=bucket, Key="k")
        # Policies are told how a request is signed.
        policy = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{bucket}/*",
            "Condition": {"StringEquals": {"s3:signatureversion": "AWS"}},
        }]}
        self.s3().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        self.refused("AccessDenied", 403, old.get_object, Bucket=bucket, Key="k")
        self.assertEqual(self.read(bucket, "k"), b"old")

    def test_a_conditional_write_is_made_once(self):
        s3 = self.s3()
        create = lambda n: s3.put_object(
            Bucket=self.name, Key="once", Body=b"%d" % n, IfNoneMatch="*"
        )

        def tried(number):
            try:
                return create(number)["ETag"]
            except ClientError as error:
                self.assertIn(error.response["Error"]["Code"],
                              ("PreconditionFailed", "ConditionalRequestConflict"))
                return None

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            made = [etag for etag in pool.map(tried, range(8)) if etag]
        self.assertEqual(len(made), 1, made)
        s3.put_object(Bucket=self.name, Key="once", Body=b"next", IfMatch=made[0])
        self.refused("PreconditionFailed", 412, s3.put_object, Bucket=self.name, Key="once",
                     Body=b"late", IfMatch=made[0])
        self.assertEqual(self.read(self.name, "once"), b"next")


class Versions(Objects):
    """Versions, delete markers, null versions and listings."""

    def test_versions_are_kept_hidden_and_removed(self):
        bucket, s3 = self.bucket(versioned=True), self.s3()
        first = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["VersionId"]
        second = s3.put_object(Bucket=bucket, Key="a", Body=b"2")["VersionId"]
        self.assertEqual(self.read(bucket, "a"), b"2")
        self.assertEqual(self.read(bucket, "a", VersionId=first), b"1")
        deleted = s3.delete_object(Bucket=bucket, Key="a")
        self.assertTrue(deleted["DeleteMarker"])
        error = self.refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="a")
        self.assertEqual(error["Message"], "The specified key does not exist.")
        self.assertEqual(error["Key"], "a")
        self.refused(
            "MethodNotAllowed", 405, s3.get_object, Bucket=bucket, Key="a",
            VersionId=deleted["VersionId"],
        )
        listed = s3.list_object_versions(Bucket=bucket)
        self.assertEqual([v["VersionId"] for v in listed["Versions"]], [second, first])
        self.assertTrue(listed["DeleteMarkers"][0]["IsLatest"])
        s3.delete_object(Bucket=bucket, Key="a", VersionId=deleted["VersionId"])
        self.assertEqual(self.read(bucket, "a"), b"2")
        s3.delete_object(Bucket=bucket, Key="a", VersionId=second)
        self.assertEqual(self.read(bucket, "a"), b"1")
        self.refused("NoSuchVersion", 404, s3.get_object, Bucket=bucket, Key="a", VersionId=second)

    def test_suspended_versioning_writes_null_versions(self):
        bucket, s3 = self.bucket(), self.s3()
        s3.put_object(Bucket=bucket, Key="a", Body=b"before")
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        kept = s3.put_object(Bucket=bucket, Key="a", Body=b"kept")["VersionId"]
        self.assertEqual(self.read(bucket, "a", VersionId="null"), b"before")
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
        s3.put_object(Bucket=bucket, Key="a", Body=b"null again")
        versions = s3.list_object_versions(Bucket=bucket)["Versions"]
        self.assertEqual([v["VersionId"] for v in versions], ["null", kept])
        self.assertEqual(self.read(bucket, "a", VersionId="null"), b"null again")
        deleted = s3.delete_object(Bucket=bucket, Key="a")
        self.assertEqual((deleted["DeleteMarker"], deleted["VersionId"]), (True, "null"))

    def test_many_are_deleted_at_once(self):
        bucket, s3 = self.bucket(), self.s3()
        for number in range(20):
            s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"")
        answer = s3.delete_objects(Bucket=bucket, Delete={
            "Objects": [{"Key": f"k{number}"} for number in range(19)] + [{"Key": "none"}],
        })
        self.assertEqual(len(answer["Deleted"]), 20)
        self.assertEqual(answer.get("Errors", []), [])
        self.assertEqual(self.keys(bucket), ["k19"])
        self.refused("MalformedXML", 400, s3.delete_objects, Bucket=bucket, Delete={
            "Objects": [{"Key": str(number)} for number in range(1001)],
        })

    def test_listings_with_prefixes_delimiters_and_pages(self):
        bucket, s3 = self.bucket(), self.s3()
        names = [f"d{d}/f{f:02}" for d in range(3) for f in range(7)] + ["top", "é", "a&b <c>"]
        for name in names:
            s3.put_object(Bucket=bucket, Key=name, Body=b"x")
        self.assertEqual(self.keys(bucket), sorted(names, key=lambda n: n.encode()))
        page = s3.list_objects_v2(Bucket=bucket, Delimiter="/", MaxKeys=3)
        self.assertEqual([c["Key"] for c in page["Contents"]], ["a&b <c>"])
        self.assertEqual([p["Prefix"] for p in page["CommonPrefixes"]], ["d0/", "d1/"])
        self.assertTrue(page["IsTruncated"])
        rest = s3.list_objects_v2(
            Bucket=bucket, Delimiter="/", ContinuationToken=page["NextContinuationToken"]
        )
        self.assertEqual([p["Prefix"] for p in rest["CommonPrefixes"]], ["d2/"])
        self.assertEqual([c["Key"] for c in rest["Contents"]], ["top", "é"])
        one = s3.list_objects(Bucket=bucket, Prefix="d1/", Marker="d1/f04", MaxKeys=1)
        self.assertEqual([c["Key"] for c in one["Contents"]], ["d1/f05"])
        after = s3.list_objects_v2(Bucket=bucket, Prefix="d1/", StartAfter="d1/f05")
        self.assertEqual([c["Key"] for c in after["Contents"]], ["d1/f06"])
        self.assertEqual(after["KeyCount"], 1)
        self.refused("InvalidArgument", 400, s3.list_objects_v2, Bucket=bucket, MaxKeys=-1)


if __name__ == "__main__":
    unittest.main()
