"""The whole first slice by real clients: from create-table to a conflict listed and restored."""

import unittest

from botocore.exceptions import ClientError
from lab import Lab, eventually

VIRGINIA, IRELAND, SINGAPORE = "us-east-1", "eu-west-1", "ap-southeast-1"
ATTRIBUTES = "AttributeName=id,AttributeType=S"
KEYS = "AttributeName=id,KeyType=HASH"


class CommandLine(unittest.TestCase):
    """The `aws` command line on one lab; the README's first screens as a test."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab()
        cls.addClassCleanup(cls.lab.close)

    def replica(self, region, of=IRELAND):
        table = self.lab.aws(region, "dynamodb", "describe-table", "--table-name", "Orders")["Table"]
        states = {r["RegionName"]: r["ReplicaStatus"] for r in table.get("Replicas", [])}
        return states.get(of)

    def item(self, region, key):
        answer = self.lab.aws(
            region, "dynamodb", "get-item", "--table-name", "Orders",
            "--key", '{"id":{"S":"%s"}}' % key, "--consistent-read",
        )
        return answer.get("Item")

    def put(self, region, key, by):
        self.lab.aws(
            region, "dynamodb", "put-item", "--table-name", "Orders",
            "--item", '{"id":{"S":"%s"},"by":{"S":"%s"}}' % (key, by),
        )

    def test_from_create_table_to_a_conflict_restored(self):
        lab = self.lab
        created = lab.aws(
            VIRGINIA, "dynamodb", "create-table", "--table-name", "Orders",
            "--attribute-definitions", ATTRIBUTES, "--key-schema", KEYS,
            "--billing-mode", "PAY_PER_REQUEST",
        )
        self.assertIn(created["TableDescription"]["TableStatus"], ("CREATING", "ACTIVE"))
        lab.aws(VIRGINIA, "dynamodb", "wait", "table-exists", "--table-name", "Orders")
        self.put(VIRGINIA, "before", "Virginia")

        updated = lab.aws(
            VIRGINIA, "dynamodb", "update-table", "--table-name", "Orders",
            "--replica-updates", '[{"Create": {"RegionName": "eu-west-1"}}]',
        )
        self.assertEqual(updated["TableDescription"]["TableStatus"], "UPDATING")
        eventually(lambda: self.replica(VIRGINIA) == "ACTIVE")
        eventually(lambda: self.item(IRELAND, "before"))

        self.put(IRELAND, "after", "Ireland")
        eventually(lambda: self.item(VIRGINIA, "after"))

        lab.run("fault", "cut", VIRGINIA, IRELAND)
        self.put(VIRGINIA, "1", "Virginia")
        self.put(IRELAND, "1", "Ireland")
        self.assertEqual(self.item(VIRGINIA, "1")["by"]["S"], "Virginia")
        self.assertEqual(self.item(IRELAND, "1")["by"]["S"], "Ireland")
        lab.run("fault", "heal")
        eventually(lambda: self.item(VIRGINIA, "1") == self.item(IRELAND, "1"))
        self.assertEqual(self.item(VIRGINIA, "1")["by"]["S"], "Ireland")

        conflicts = eventually(lambda: lab.json("conflicts", "list")["conflicts"])
        self.assertEqual(len(conflicts), 1, conflicts)
        conflict = lab.json("conflicts", "show", conflicts[0]["id"])
        self.assertEqual(conflict["table"], "Orders")
        self.assertEqual(conflict["loser"]["region"], VIRGINIA)
        self.assertEqual(conflict["winner"]["region"], IRELAND)
        self.assertEqual(conflict["loser"]["image"]["by"]["S"], "Virginia")

        lab.run("conflicts", "restore", conflict["id"])
        for region in (VIRGINIA, IRELAND):
            eventually(lambda r=region: self.item(r, "1")["by"]["S"] == "Virginia")
        self.assertEqual(len(lab.json("conflicts", "list")["conflicts"]), 1)

        lab.run("verify")


class Sdk(unittest.TestCase):
    """boto3 on one lab."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0.1")
        cls.addClassCleanup(cls.lab.close)

    def client(self, region, **changes):
        return self.lab.client(region, **changes)

    def table(self, name, region=VIRGINIA):
        client = self.client(region)
        client.create_table(
            TableName=name,
            AttributeDefinitions=[
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "at", "AttributeType": "N"},
            ],
            KeySchema=[
                {"AttributeName": "id", "KeyType": "HASH"},
                {"AttributeName": "at", "KeyType": "RANGE"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        client.get_waiter("table_exists").wait(TableName=name)
        return client

    def refused(self, call, **arguments):
        with self.assertRaises(ClientError) as raised:
            call(**arguments)
        return raised.exception.response["Error"]

    def test_items_expressions_and_pages(self):
        client = self.table("Pages")
        with_key = lambda at: {"id": {"S": "a"}, "at": {"N": str(at)}}
        for start in range(0, 100, 25):
            requests = [
                {"PutRequest": {"Item": {**with_key(at), "text": {"S": "x" * 30_000}}}}
                for at in range(start, start + 25)
            ]
            answer = client.batch_write_item(RequestItems={"Pages": requests})
            self.assertEqual(answer["UnprocessedItems"], {})
        pages = list(
            client.get_paginator("query").paginate(
                TableName="Pages",
                KeyConditionExpression="id = :id AND #at BETWEEN :low AND :high",
                ExpressionAttributeNames={"#at": "at"},
                ExpressionAttributeValues={
                    ":id": {"S": "a"}, ":low": {"N": "5"}, ":high": {"N": "94"},
                },
            )
        )
        self.assertGreater(len(pages), 1)
        found = [int(item["at"]["N"]) for page in pages for item in page["Items"]]
        self.assertEqual(found, list(range(5, 95)))

        updated = client.update_item(
            TableName="Pages", Key=with_key(7),
            UpdateExpression="SET tally = if_not_exists(tally, :zero) + :one REMOVE #text",
            ConditionExpression="attribute_exists(id) AND size(#text) = :size",
            ExpressionAttributeNames={"#text": "text"},
            ExpressionAttributeValues={
                ":zero": {"N": "0"}, ":one": {"N": "1"}, ":size": {"N": "30000"},
            },
            ReturnValues="ALL_NEW",
        )
        self.assertEqual(updated["Attributes"], {**with_key(7), "tally": {"N": "1"}})
        error = self.refused(
            client.put_item, TableName="Pages", Item=with_key(7),
            ConditionExpression="attribute_not_exists(id)",
        )
        self.assertEqual(error["Code"], "ConditionalCheckFailedException")

    def test_errors_have_the_services_codes(self):
        client = self.table("Errors")
        error = self.refused(client.describe_table, TableName="Nowhere")
        self.assertEqual(error["Code"], "ResourceNotFoundException")
        error = self.refused(
            client.put_item, TableName="Errors",
            Item={"id": {"S": "a"}, "at": {"N": "1"}, "big": {"S": "x" * 409_600}},
        )
        self.assertEqual(error["Code"], "ValidationException")
        self.assertIn("Item size has exceeded the maximum allowed size", error["Message"])
        stranger = self.client(VIRGINIA, aws_access_key_id="AKIASTRANGER00000000")
        error = self.refused(stranger.list_tables)
        self.assertEqual(error["Code"], "UnrecognizedClientException")
        forger = self.client(VIRGINIA, aws_secret_access_key="guess")
        self.assertEqual(self.refused(forger.list_tables)["Code"], "InvalidSignatureException")
        error = self.refused(client.list_backups)
        self.assertIn("ListBackups", error["Message"])

    def test_replica_errors_are_verbatim(self):
        client = self.table("Replicas")
        create = lambda region: [{"Create": {"RegionName": region}}]
        error = self.refused(
            client.update_table, TableName="Replicas", ReplicaUpdates=create(VIRGINIA)
        )
        self.assertTrue(error["Message"].startswith("Cannot add or delete the local region"), error)
        self.table("Taken", SINGAPORE)
        taken = self.table("Taken")
        error = self.refused(
            taken.update_table, TableName="Taken", ReplicaUpdates=create(SINGAPORE)
        )
        self.assertIn("one or more replicas already existed as tables", error["Message"])

    def test_a_replica_is_added_used_and_removed(self):
        client = self.table("Moves")
        for at in range(200):
            client.put_item(TableName="Moves", Item={"id": {"S": "a"}, "at": {"N": str(at)}})
        client.update_table(
            TableName="Moves", ReplicaUpdates=[{"Create": {"RegionName": SINGAPORE}}]
        )
        replicas = lambda: client.describe_table(TableName="Moves")["Table"].get("Replicas", [])
        eventually(lambda: [r["ReplicaStatus"] for r in replicas()] == ["ACTIVE"])
        far = self.client(SINGAPORE)
        self.assertEqual(far.scan(TableName="Moves", Select="COUNT")["Count"], 200)
        far.delete_item(TableName="Moves", Key={"id": {"S": "a"}, "at": {"N": "0"}})
        eventually(lambda: client.scan(TableName="Moves", Select="COUNT")["Count"] == 199)
        client.update_table(
            TableName="Moves", ReplicaUpdates=[{"Delete": {"RegionName": SINGAPORE}}]
        )
        eventually(lambda: not replicas())
        error = self.refused(far.describe_table, TableName="Moves")
        self.assertEqual(error["Code"], "ResourceNotFoundException")

    def test_a_restart_finds_everything(self):
        client = self.table("Stays")
        client.put_item(TableName="Stays", Item={"id": {"S": "a"}, "at": {"N": "1"}})
        self.lab.stop()
        self.lab.start()
        answer = self.client(VIRGINIA).scan(TableName="Stays")
        self.assertEqual(answer["Count"], 1)


if __name__ == "__main__":
    unittest.main()
