"""Query and Scan on secondary indexes, global and local, through boto3."""

import unittest

from botocore.exceptions import ClientError
from lab import Lab, eventually

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"


class Indexes(unittest.TestCase):
    """A table with a global index over two attributes, a local one, and a replica."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0.1", "--regions", f"{VIRGINIA},{IRELAND}")
        cls.addClassCleanup(cls.lab.close)
        cls.client = cls.lab.client(VIRGINIA)
        cls.client.create_table(
            TableName="Orders",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": kind}
                for name, kind in (("customer", "S"), ("at", "N"), ("state", "S"), ("sum", "N"))
            ],
            KeySchema=[
                {"AttributeName": "customer", "KeyType": "HASH"},
                {"AttributeName": "at", "KeyType": "RANGE"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-state",
                    "KeySchema": [
                        {"AttributeName": "state", "KeyType": "HASH"},
                        {"AttributeName": "sum", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["note"]},
                }
            ],
            LocalSecondaryIndexes=[
                {
                    "IndexName": "by-sum",
                    "KeySchema": [
                        {"AttributeName": "customer", "KeyType": "HASH"},
                        {"AttributeName": "sum", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        cls.client.get_waiter("table_exists").wait(TableName="Orders")
        for at in range(40):
            item = {
                "customer": {"S": "anna" if at % 2 else "bert"},
                "at": {"N": str(at)},
                "sum": {"N": str(1000 - at * 10)},
                "note": {"S": "kept"},
                "more": {"S": "not in the index"},
            }
            # Every fourth has no state: it isn't in the global index.
            if at % 4:
                item["state"] = {"S": "open"}
            cls.client.put_item(TableName="Orders", Item=item)

    def query(self, region=VIRGINIA, **arguments):
        return self.lab.client(region).query(TableName="Orders", **arguments)

    def by_state(self, region=VIRGINIA, state="open", **arguments):
        return self.query(
            region,
            IndexName="by-state",
            KeyConditionExpression="#s = :s",
            ExpressionAttributeNames={"#s": "state"},
            ExpressionAttributeValues={":s": {"S": state}},
            **arguments,
        )

    def test_a_query_on_a_global_index_is_sorted_sparse_and_projected(self):
        items = self.by_state()["Items"]
        self.assertEqual(len(items), 30)
        sums = [int(item["sum"]["N"]) for item in items]
        self.assertEqual(sums, sorted(sums))
        self.assertEqual(
            set().union(*(item.keys() for item in items)),
            {"customer", "at", "state", "sum", "note"},
        )
        backward = self.by_state(ScanIndexForward=False)["Items"]
        self.assertEqual(backward, items[::-1])

    def test_a_query_on_a_global_index_goes_on_page_by_page(self):
        found, start = [], {}
        while True:
            page = self.by_state(Limit=7, **start)
            found += [int(item["at"]["N"]) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                break
            self.assertEqual(
                set(page["LastEvaluatedKey"]), {"customer", "at", "state", "sum"}
            )
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        self.assertEqual(found, [at for at in range(39, -1, -1) if at % 4])

    def test_a_scan_on_a_global_index_sees_what_is_in_it(self):
        scan = lambda **more: self.client.scan(TableName="Orders", IndexName="by-state", **more)
        self.assertEqual(scan(Select="COUNT")["Count"], 30)
        rest = scan(
            FilterExpression="#sum > :low",
            ExpressionAttributeNames={"#sum": "sum"},
            ExpressionAttributeValues={":low": {"N": "800"}},
        )
        self.assertEqual(rest["ScannedCount"], 30)
        self.assertEqual(rest["Count"], len([at for at in range(20) if at % 4]))
        parts = [scan(Segment=part, TotalSegments=3)["Count"] for part in range(3)]
        self.assertEqual(sum(parts), 30)

    def test_a_query_on_a_local_index_may_fetch_from_the_table(self):
        answer = self.query(
            IndexName="by-sum",
            KeyConditionExpression="customer = :c AND #sum BETWEEN :low AND :high",
            ExpressionAttributeNames={"#sum": "sum"},
            ExpressionAttributeValues={
                ":c": {"S": "anna"}, ":low": {"N": "700"}, ":high": {"N": "900"},
            },
            Select="ALL_ATTRIBUTES",
            ConsistentRead=True,
        )
        ats = [int(item["at"]["N"]) for item in answer["Items"]]
        self.assertEqual(ats, [at for at in range(29, 9, -1) if at % 2])
        self.assertTrue(all("more" in item for item in answer["Items"]))

    def test_what_a_global_index_refuses(self):
        for arguments, words in (
            ({"ConsistentRead": True}, "Consistent reads are not supported on global"),
            ({"Select": "ALL_ATTRIBUTES"}, "ALL_ATTRIBUTES"),
        ):
            with self.assertRaises(ClientError) as raised:
                self.by_state(**arguments)
            error = raised.exception.response["Error"]
            self.assertEqual(error["Code"], "ValidationException")
            self.assertIn(words, error["Message"])
        with self.assertRaises(ClientError) as raised:
            self.client.scan(TableName="Orders", IndexName="no-such-index")
        error = raised.exception.response["Error"]
        self.assertEqual(error["Code"], "ValidationException")
        self.assertIn("no-such-index", error["Message"])

    def test_an_item_moves_within_its_indexes_in_every_region(self):
        client = self.client
        client.update_table(
            TableName="Orders", ReplicaUpdates=[{"Create": {"RegionName": IRELAND}}]
        )
        replicas = lambda: client.describe_table(TableName="Orders")["Table"].get("Replicas", [])
        eventually(lambda: [r["ReplicaStatus"] for r in replicas()] == ["ACTIVE"])
        self.assertEqual(self.by_state(IRELAND)["Items"], self.by_state()["Items"])
        key = {"customer": {"S": "cleo"}, "at": {"N": "1"}}
        item = {**key, "state": {"S": "new"}, "sum": {"N": "5"}}
        self.lab.client(IRELAND).put_item(TableName="Orders", Item=item)
        eventually(lambda: self.by_state(state="new")["Count"] == 1)
        client.update_item(
            TableName="Orders", Key=key,
            UpdateExpression="SET #s = :s",
            ExpressionAttributeNames={"#s": "state"},
            ExpressionAttributeValues={":s": {"S": "old"}},
        )
        eventually(lambda: self.by_state(IRELAND, "old")["Count"] == 1)
        self.assertEqual(self.by_state(IRELAND, "new")["Count"], 0)
        client.delete_item(TableName="Orders", Key=key)
        eventually(lambda: self.by_state(IRELAND, "old")["Count"] == 0)


if __name__ == "__main__":
    unittest.main()
