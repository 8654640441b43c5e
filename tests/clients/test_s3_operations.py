"""Every operation of S3's published model, called through botocore: it answers as the service would
or says by its name that it isn't built. Never another 5xx, never silence, no change by mistake."""

import json
import unittest

from botocore.exceptions import BotoCoreError, ClientError
from s3 import VIRGINIA, Objects

# They go to hosts of their own, which the SDK makes of the bucket's name, or to a service of another
# name (s3express).
ELSEWHERE = {"WriteGetObjectResponse", "CreateSession", "ListDirectoryBuckets"}


def parameters(shape, member, bucket):
    """The least that the shape's own constraints accept."""
    if shape.type_name == "structure":
        wanted = set(shape.required_members)
        if shape.is_tagged_union:
            wanted = {next(iter(shape.members))}
        return {
            name: parameters(inner, name, bucket)
            for name, inner in shape.members.items() if name in wanted
        }
    if shape.type_name == "list":
        return [parameters(shape.member, member, bucket)]
    if shape.type_name == "map":
        return {"a": parameters(shape.value, member, bucket)}
    if shape.type_name == "string":
        if shape.enum:
            return shape.enum[0]
        named = {"Bucket": bucket, "Key": "there", "CopySource": f"{bucket}/there"}
        return named.get(member, "x" * max(1, shape.metadata.get("min", 1)))
    if shape.type_name == "blob":
        return b"x"
    return {"integer": 1, "long": 1, "boolean": False, "double": 1.0, "timestamp": 0}[
        shape.type_name
    ]


class EveryOperation(Objects):
    """One lab; a bucket for each operation, as some take theirs away."""

    lab_arguments = ("--delay-scale", "0")

    def setUp(self):
        self.client = self.lab.client(VIRGINIA, "s3")
        self.model = self.client.meta.service_model
        service = self.lab.json("status", "--operations")
        rows = service["operations"] if isinstance(service, dict) else service
        self.row = next(row for row in rows if row["service"] == "s3")

    def call(self, operation, **arguments):
        """The HTTP status, the error's code and its text."""
        try:
            return 200, "", str(self.client._make_api_call(operation, arguments))
        except ClientError as error:
            said = error.response["Error"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return status, said.get("Code", ""), said.get("Message", "")

    def test_the_list_has_every_operation_of_the_model(self):
        listed = set(self.row["built_names"]) | set(self.row["not_built_names"])
        missing = set(self.model.operation_names) - listed
        self.assertEqual(missing, set())

    def test_each_answers_or_says_that_it_is_not_built(self):
        wrong = []
        for operation in sorted(set(self.model.operation_names) - ELSEWHERE):
            bucket = self.bucket()
            self.s3().put_object(Bucket=bucket, Key="there", Body=b"what was there")
            shape = self.model.operation_model(operation).input_shape
            arguments = parameters(shape, "", bucket) if shape else {}
            if "Bucket" in (shape.members if shape else ()):
                arguments["Bucket"] = bucket
            try:
                status, code, text = self.call(operation, **arguments)
            except BotoCoreError as error:
                wrong.append((operation, repr(error)))
                continue
            built = operation in self.row["built_names"]
            if built and status >= 500:
                wrong.append((operation, status, code, text))
            if not built and (status != 501 or code != "NotImplemented" or operation not in text):
                wrong.append((operation, "not built", status, code, text))
            if not built and self.read(bucket, "there") != b"what was there":
                wrong.append((operation, "changed the object"))
        self.assertEqual(wrong, [], json.dumps(wrong, indent=1))


if __name__ == "__main__":
    unittest.main()
