"""Each way in which a store says no, or says nothing, becomes one of the node's words with its fix."""

import socket
import threading

import pytest

from atoll_node.errors import LakeError
from atoll_node.settings import S3Store
from atoll_node.store.s3_adapter import STORE_FIXES, S3Bucket
from atoll_node.store.verdict import Reply
from atoll_node.tables.places import S3Keys
from tests.support import unsafe_store as spoiled
from tests.support.s3_server import ACCESS, SECRET, S3Server

NOBODY = S3Server("http://127.0.0.1:9", client=None)
"""Behind these gateways is no store: they answer by themselves."""


def bucket_at(endpoint: str) -> S3Bucket:
    store = S3Store(
        kind="s3", endpoint=endpoint, bucket="lake", access_key_file="a", secret_key_file="s"
    )  # fmt: skip
    return S3Bucket(store, S3Keys(ACCESS, SECRET))


@pytest.fixture
def saying():
    """Return a bucket whose store answers everything with one status and S3 code."""
    with spoiled.gateway(NOBODY) as front:

        def said(status: int, code: str) -> S3Bucket:
            front.spoiler = lambda request, onward: spoiled.refused(status, code)
            return bucket_at(front.endpoint)

        yield said


@pytest.mark.parametrize(
    ("status", "s3_code", "code"),
    [
        (403, "InvalidAccessKeyId", "store.keys"),
        (403, "SignatureDoesNotMatch", "store.keys"),
        (403, "AccessDenied", "store.denied"),
        (404, "NoSuchBucket", "store.no_bucket"),
        (501, "NotImplemented", "store.not_implemented"),
        (405, "MethodNotAllowed", "store.not_implemented"),
        (507, "XMinioStorageFull", "store.full"),
        (400, "XMinioAdminBucketQuotaExceeded", "store.full"),
        (403, "RequestTimeTooSkewed", "store.clock"),
        (500, "InternalError", "store.failed"),
        (503, "SlowDown", "store.failed"),
        (400, "SomethingUnheardOf", "store.failed"),
    ],
)
def test_a_code_of_s3_becomes_one_of_ours_with_a_fix(saying, status, s3_code, code):
    with pytest.raises(LakeError) as failed:
        saying(status, s3_code).put("a", b"1")

    assert failed.value.code == code
    assert failed.value.next_step == STORE_FIXES[code]
    assert SECRET not in f"{failed.value} {failed.value.__cause__!r}"


def test_an_object_that_is_not_there_is_none(saying):
    bucket = saying(404, "NoSuchKey")

    assert bucket.get("a") is None
    assert bucket.stat("a") is None


@pytest.mark.parametrize(
    ("status", "s3_code", "reply"),
    [
        (412, "PreconditionFailed", Reply.LOST),
        (409, "ConditionalRequestConflict", Reply.LOST),
        (501, "NotImplemented", Reply.UNKNOWN),
        (403, "SignatureDoesNotMatch", Reply.UNSIGNED),
        (403, "AccessDenied", Reply.FAILED),
        (500, "InternalError", Reply.FAILED),
    ],
)
def test_a_conditional_write_is_never_an_error_but_a_reply(saying, status, s3_code, reply):
    assert saying(status, s3_code).put_new("a", b"1") is reply


def test_a_conditional_write_signs_its_condition():
    with spoiled.gateway(NOBODY, lambda request, onward: spoiled.Reply(200)) as front:
        assert bucket_at(front.endpoint).put_new("folder/ä ö", b"1") is Reply.WON
        (heard,) = front.heard

    assert heard.headers["if-none-match"] == "*"
    assert "if-none-match" in heard.headers["authorization"]
    assert heard.path == "/lake/folder/%C3%A4%20%C3%B6"
    assert SECRET not in str(heard)


def test_nobody_there_is_unreachable_and_a_reply_that_failed():
    bucket = bucket_at("http://127.0.0.1:9")

    with pytest.raises(LakeError) as failed:
        bucket.put("a", b"1")
    assert failed.value.code == "store.unreachable"
    assert bucket.put_new("a", b"1") is Reply.FAILED


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<html"]
)
def test_something_that_is_no_store_is_told_without_its_words(said):
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer_with, args=(server, said), daemon=True)
        thread.start()
        bucket = bucket_at(f"http://127.0.0.1:{server.getsockname()[1]}")

        with pytest.raises(LakeError) as failed:
            list(bucket.list("a/"))

    assert failed.value.code in ("store.unreachable", "store.failed")
    assert "OpenSSH" not in str(failed.value)


def _answer_with(server: socket.socket, said: bytes) -> None:
    while True:
        try:
            link, _ = server.accept()
        except OSError:
            return
        with link:
            link.recv(4096)
            link.sendall(said)
