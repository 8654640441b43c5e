// The AWS SDK for JavaScript on buckets and objects: bodies that are streamed with checksums in
// trailers, uploads in parts, pages, versions, and replication to another Region. It ends with
// "all done", or with an error.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import {
  CreateBucketCommand, DeleteObjectsCommand, GetObjectCommand, HeadObjectCommand,
  PutBucketReplicationCommand, PutBucketVersioningCommand, PutObjectCommand, S3Client,
  paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";

const far = process.env.OTHER_REGION;
const client = (region) => new S3Client({ region, forcePathStyle: true, maxAttempts: 1 });
const near = client("us-east-1");
const there = client(far);
const [source, destination] = ["source", "destination"].map(
  (name) => `javascript-${name}-${randomBytes(4).toString("hex")}`,
);

await near.send(new CreateBucketCommand({ Bucket: source }));
await there.send(new CreateBucketCommand({
  Bucket: destination, CreateBucketConfiguration: { LocationConstraint: far },
}));
for (const [s3, Bucket] of [[near, source], [there, destination]]) {
  await s3.send(new PutBucketVersioningCommand({
    Bucket, VersioningConfiguration: { Status: "Enabled" },
  }));
}
await near.send(new PutBucketReplicationCommand({
  Bucket: source,
  ReplicationConfiguration: {
    Role: process.env.ROLE,
    Rules: [{
      ID: "all", Priority: 1, Status: "Enabled", Filter: {},
      DeleteMarkerReplication: { Status: "Enabled" },
      Destination: { Bucket: `arn:aws:s3:::${destination}` },
    }],
  },
}));

const read = async (s3, Bucket, Key, more = {}) => {
  const answer = await s3.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from(await answer.Body.transformToByteArray());
};

// A body whose checksum is known only at its end.
const streamed = randomBytes(300_000);
await near.send(new PutObjectCommand({
  Bucket: source, Key: "streamed", Body: Readable.from([streamed]),
  ContentLength: streamed.length, ChecksumAlgorithm: "CRC32C", Metadata: { by: "stream" },
}));
assert.deepEqual(await read(near, source, "streamed"), streamed);
assert.deepEqual(
  await read(near, source, "streamed", { Range: "bytes=65530-65545" }),
  streamed.subarray(65530, 65546),
);

const large = randomBytes(11 * 1024 * 1024 + 3);
await new Upload({
  client: near, params: { Bucket: source, Key: "large", Body: large }, partSize: 5 * 1024 * 1024,
}).done();
assert.deepEqual(await read(near, source, "large"), large);

await assert.rejects(read(near, source, "nowhere"), (error) => error.name === "NoSuchKey");
await assert.rejects(
  near.send(new PutObjectCommand({ Bucket: source, Key: "large", Body: "", IfNoneMatch: "*" })),
  (error) => error.name === "PreconditionFailed",
);

for (let number = 0; number < 7; number += 1) {
  await near.send(new PutObjectCommand({
    Bucket: source, Key: `pages/${number} +&é`, Body: `${number}`,
  }));
}
const keys = [];
for await (const page of paginateListObjectsV2(
  { client: near, pageSize: 3 }, { Bucket: source, Prefix: "pages/" },
)) {
  keys.push(...page.Contents.map((entry) => entry.Key));
}
assert.deepEqual(keys, [...Array(7).keys()].map((number) => `pages/${number} +&é`));
const deleted = await near.send(new DeleteObjectsCommand({
  Bucket: source, Delete: { Objects: keys.map((Key) => ({ Key })) },
}));
assert.equal(deleted.Deleted.length, 7);

const until = async (what, holds) => {
  for (const deadline = Date.now() + 30_000; ;) {
    if (await holds().catch(() => false)) return;
    assert(Date.now() < deadline, `not so in time: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
};
const status = async (s3, Bucket) =>
  (await s3.send(new HeadObjectCommand({ Bucket, Key: "large" }))).ReplicationStatus;
await until("completed", async () => (await status(near, source)) === "COMPLETED");
assert.equal(await status(there, destination), "REPLICA");
assert.deepEqual(await read(there, destination, "large"), large);

console.log("all done");
