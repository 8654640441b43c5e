"""Every operation of DynamoDB's published model, called through botocore: it answers as the
service would or says by its name that it isn't built. Never a 500, never silence."""

import unittest

from botocore.exceptions import ClientError
from lab import Lab

VIRGINIA = "us-east-1"
NOBODY = "arn:aws:dynamodb:us-east-1:123456789012:table/Nowhere"

# What succeeds with the least that its shape asks for, where the table is there.
ON_A_TABLE = {
    "BatchGetItem", "BatchWriteItem", "DeleteItem", "DeleteTable", "DescribeContinuousBackups",
    "DescribeTable", "DescribeTimeToLive", "GetItem", "ListTagsOfResource", "PutItem", "Scan",
    "TagResource", "UntagResource", "UpdateContinuousBackups", "UpdateItem",
}


def parameters(shape, member, table, arn):
    """The least that the shape's own constraints accept."""
    if shape.name == "AttributeValue":
        return {"S": "x"}
    if shape.name == "WriteRequest":
        return {"PutRequest": {"Item": {"id": {"S": "x"}}}}
    if shape.type_name == "structure":
        wanted = set(shape.required_members)
        return {
            name: parameters(inner, name, table, arn)
            for name, inner in shape.members.items()
            if name in wanted
        }
    if shape.type_name == "list":
        return [parameters(shape.member, member, table, arn)]
    if shape.type_name == "map":
        # Every map with required keys is by table or by attribute.
        key = table if member == "RequestItems" else "id"
        return {key: parameters(shape.value, member, table, arn)}
    if shape.type_name == "string":
        if shape.enum:
            return shape.enum[0]
        named = {"RegionName": VIRGINIA, "ResourceArn": arn, "AttributeName": "id"}
        if member.endswith("TableName"):
            return table
        return named.get(member, "x" * max(1, shape.metadata.get("min", 1)))
    return {"integer": 1, "long": 1, "boolean": False, "double": 1.0, "timestamp": 0, "blob": b"x"}[
        shape.type_name
    ]


class EveryOperation(unittest.TestCase):
    """One lab; a table for each operation, as some take theirs away."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0")
        cls.addClassCleanup(cls.lab.close)
        cls.client = cls.lab.client(VIRGINIA)
        cls.model = cls.client.meta.service_model
        service = cls.lab.json("status", "--operations")
        rows = service["operations"] if isinstance(service, dict) else service
        row = next(row for row in rows if row["service"] == "dynamodb")
        cls.built = set(row["built_names"])
        cls.not_built = set(row["not_built_names"])

    def table(self, name):
        """A new table of that name with the key `id`; its ARN."""
        created = self.client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.client.get_waiter("table_exists").wait(TableName=name)
        return created["TableDescription"]["TableArn"]

    def call(self, operation, **arguments):
        """The HTTP status, the error's code and its text."""
        # Past botocore's own validation: the service's is what is asked.
        try:
            answer = self.client._make_api_call(operation, arguments)
            return answer["ResponseMetadata"]["HTTPStatusCode"], None, ""
        except ClientError as refused:
            answer = refused.response
            error = answer["Error"]
            status = answer["ResponseMetadata"]["HTTPStatusCode"]
            return status, error["Code"], error.get("Message", "")

    def check(self, operation, outcome):
        status, code, message = outcome
        self.assertIn(status, (200, 400), (operation, outcome))
        if operation in self.not_built:
            self.assertEqual(code, "NotImplemented", outcome)
            self.assertTrue(message.startswith(f"{operation} is not built yet"), message)
        else:
            self.assertNotIn(code, ("NotImplemented", "UnknownOperationException"), outcome)
        if status == 400:
            self.assertTrue(message, (operation, outcome))

    def test_the_operation_table_is_the_published_model(self):
        self.assertEqual(self.built & self.not_built, set())
        self.assertEqual(self.built | self.not_built, set(self.model.operation_names))

    def test_each_answers_where_nothing_is(self):
        for operation in self.model.operation_names:
            with self.subTest(operation=operation):
                shape = self.model.operation_model(operation).input_shape
                arguments = parameters(shape, "", "Nowhere", NOBODY)
                if operation == "CreateTable":
                    arguments["TableName"] = "Made"
                self.check(operation, self.call(operation, **arguments))

    def test_each_answers_where_a_table_is(self):
        for operation in self.model.operation_names:
            with self.subTest(operation=operation):
                arn = self.table("Table" + operation)
                shape = self.model.operation_model(operation).input_shape
                arguments = parameters(shape, "", "Table" + operation, arn)
                outcome = self.call(operation, **arguments)
                self.check(operation, outcome)
                if operation in ON_A_TABLE:
                    self.assertEqual(outcome[0], 200, outcome)

    def test_each_that_is_built_refuses_what_it_cannot_read(self):
        for operation in sorted(self.built):
            for wrong in ({"TableName": "a"}, {"TableName": "?" * 300}):
                with self.subTest(operation=operation, wrong=wrong):
                    shape = self.model.operation_model(operation).input_shape
                    arguments = parameters(shape, "", "Nowhere", NOBODY)
                    if "TableName" not in shape.members:
                        continue
                    outcome = self.call(operation, **{**arguments, **wrong})
                    self.check(operation, outcome)
                    self.assertNotEqual(outcome[0], 200, outcome)

    def test_the_lab_is_still_whole(self):
        self.assertEqual(self.lab.run("verify").returncode, 0)


if __name__ == "__main__":
    unittest.main()
