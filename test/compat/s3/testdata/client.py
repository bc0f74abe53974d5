"""What boto3 users do, against the endpoint in AWS_ENDPOINT_URL. Prints "ok" at the end."""

import datetime
import io
import os
import ssl
import threading
import urllib.error
import urllib.request

import boto3
import botocore.auth
import botocore.exceptions
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.config import Config

BUCKET = "bundles"
REGION = os.environ["AWS_DEFAULT_REGION"]
KEY = "dir/ünï cødé + &?#%.zip"
s3 = boto3.client("s3")


def fails(code, call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as e:
        assert e.response["Error"]["Code"] == code, (code, e)
        return e.response
    raise AssertionError(f"{code} expected, but it went well")


def body(**arguments):
    return s3.get_object(Bucket=BUCKET, **arguments)["Body"].read()


def buckets():
    fails("NoSuchBucket", s3.put_object, Bucket=BUCKET, Key="k", Body=b"x")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    fails("BucketAlreadyOwnedByYou", s3.create_bucket, Bucket=BUCKET)
    fails("404", s3.head_bucket, Bucket="absent")
    s3.head_bucket(Bucket=BUCKET)
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == [BUCKET]
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == REGION


def objects():
    put = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"0123456789", ContentType="application/zip", Metadata={"Version": "1"})
    got = s3.get_object(Bucket=BUCKET, Key=KEY)
    assert got["Body"].read() == b"0123456789"
    assert got["ETag"] == put["ETag"] == '"781e5e245d69b566979b86e28d23f2c7"'
    assert got["ContentType"] == "application/zip" and got["Metadata"] == {"version": "1"}, got
    assert "aws-chunked" not in got.get("ContentEncoding", "")
    assert got["ChecksumCRC32"] == put["ChecksumCRC32"]
    head = s3.head_object(Bucket=BUCKET, Key=KEY)
    assert head["ContentLength"] == 10 and head["AcceptRanges"] == "bytes"
    assert body(Key=KEY, Range="bytes=2-4") == b"234"
    assert body(Key=KEY, Range="bytes=-3") == b"789"
    fails("InvalidRange", s3.get_object, Bucket=BUCKET, Key=KEY, Range="bytes=10-")
    fails("304", s3.get_object, Bucket=BUCKET, Key=KEY, IfNoneMatch=put["ETag"])
    fails("PreconditionFailed", s3.get_object, Bucket=BUCKET, Key=KEY, IfMatch='"x"')
    fails("NoSuchKey", s3.get_object, Bucket=BUCKET, Key="absent")
    fails("404", s3.head_object, Bucket=BUCKET, Key="absent")
    s3.put_object(Bucket=BUCKET, Key="empty")
    assert body(Key="empty") == b""
    for algorithm in ("CRC32", "SHA1", "SHA256"):  # the others need awscrt
        s3.put_object(Bucket=BUCKET, Key=algorithm, Body=b"x", ChecksumAlgorithm=algorithm)
        assert s3.head_object(Bucket=BUCKET, Key=algorithm, ChecksumMode="ENABLED")["Checksum" + algorithm]
    fails("BadDigest", s3.put_object, Bucket=BUCKET, Key="bad", Body=b"x", ChecksumCRC32="AAAAAA==")
    fails("404", s3.head_object, Bucket=BUCKET, Key="bad")
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": KEY})
    assert body(Key="copy") == b"0123456789"


def listing():
    keys = ["list/a b", "list/a+b", "list/sub/1", "list/sub/2", "list/é"]
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key)
    for size in (1, 2, 1000):
        for name in ("list_objects_v2", "list_objects"):
            pages = s3.get_paginator(name).paginate(Bucket=BUCKET, Prefix="list/", PaginationConfig={"PageSize": size})
            assert [o["Key"] for page in pages for o in page.get("Contents", [])] == keys, (name, size)
    page = s3.list_objects_v2(Bucket=BUCKET, Prefix="list/", Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["list/sub/"] and page["KeyCount"] == 4
    page = s3.list_objects_v2(Bucket=BUCKET, Prefix="list/", EncodingType="url")
    assert [o["Key"] for o in page["Contents"]][:2] == ["list/a%20b", "list/a%2Bb"]
    out = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys + ["absent"]]})
    assert len(out["Deleted"]) == 6 and "Errors" not in out
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="list/")["KeyCount"] == 0


def multipart():
    data = os.urandom(20 << 20)
    s3.upload_fileobj(io.BytesIO(data), BUCKET, "big", Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=6 << 20))
    assert s3.head_object(Bucket=BUCKET, Key="big")["ETag"].endswith('-4"')
    got = io.BytesIO()
    s3.download_fileobj(BUCKET, "big", got)
    assert got.getvalue() == data
    s3.copy({"Bucket": BUCKET, "Key": "big"}, BUCKET, "big copy", Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=6 << 20))
    assert body(Key="big copy") == data
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
    s3.upload_part(Bucket=BUCKET, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    assert len(s3.list_parts(Bucket=BUCKET, Key="k", UploadId=upload)["Parts"]) == 1
    s3.abort_multipart_upload(Bucket=BUCKET, Key="k", UploadId=upload)
    fails("NoSuchUpload", s3.list_parts, Bucket=BUCKET, Key="k", UploadId=upload)


def http(method, url, data=None):
    bundle = os.environ.get("AWS_CA_BUNDLE")
    context = ssl.create_default_context(cafile=bundle) if bundle else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method), context=context) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def presigned():
    client = boto3.client("s3", config=Config(signature_version="s3v4"))
    url = client.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": KEY + "2"}, ExpiresIn=60)
    assert http("PUT", url, b"presigned")[0] == 200
    url = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": KEY + "2"}, ExpiresIn=60)
    assert http("GET", url) == (200, b"presigned")
    status, answer = http("GET", url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"))
    assert status == 403 and b"SignatureDoesNotMatch" in answer
    status, answer = http("GET", url.split("?")[0])
    assert status == 403 and b"AccessDenied" in answer


def refused():
    wrong = boto3.client("s3", aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"], aws_secret_access_key="wrong")
    fails("SignatureDoesNotMatch", wrong.list_buckets)
    unknown = boto3.client("s3", aws_access_key_id="AKIAUNKNOWNUNKNOWN00", aws_secret_access_key="x")
    fails("InvalidAccessKeyId", unknown.list_buckets)
    anonymous = boto3.client("s3", config=Config(signature_version=UNSIGNED))
    fails("AccessDenied", anonymous.get_object, Bucket=BUCKET, Key=KEY)

    once = Config(retries={"total_max_attempts": 1})
    tampering = boto3.client("s3", config=once)
    tampering.meta.events.register("before-send.s3.PutObject", tamper)
    fails("BadDigest" if s3.meta.endpoint_url.startswith("https") else "XAmzContentSHA256Mismatch",
          tampering.put_object, Bucket=BUCKET, Key="tampered", Body=b"x" * 1000)
    fails("404", s3.head_object, Bucket=BUCKET, Key="tampered")

    # The signer's clock is 20 minutes slow.
    late = boto3.client("s3", config=once)
    real = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *a, **k: real(*a, **k) - datetime.timedelta(minutes=20)
    try:
        fails("RequestTimeTooSkewed", late.list_buckets)
    finally:
        botocore.auth.get_current_datetime = real


def tamper(request, **_):
    if isinstance(request.body, (bytes, bytearray)):
        request.body = bytes(request.body).replace(b"xxxx", b"yyyy", 1)
    else:  # over TLS: a stream in chunks, with a trailer
        request.body = io.BytesIO(request.body.read().replace(b"xxxx", b"yyyy", 1))


def threads():
    """Twenty writers of one key: one of them wins as a whole."""
    each = [bytes([65 + i]) * 100_000 for i in range(20)]
    writers = [threading.Thread(target=s3.put_object, kwargs={"Bucket": BUCKET, "Key": "shared", "Body": b}) for b in each]
    for w in writers:
        w.start()
    for w in writers:
        w.join()
    assert body(Key="shared") in each


def removal():
    fails("BucketNotEmpty", s3.delete_bucket, Bucket=BUCKET)
    boto3.resource("s3").Bucket(BUCKET).objects.all().delete()
    s3.delete_bucket(Bucket=BUCKET)
    assert s3.list_buckets()["Buckets"] == []


for step in (buckets, objects, listing, multipart, presigned, refused, threads, removal):
    step()
print("ok")
