"""What a store needs is planned from what it has and what was asked for; the policy allows no more."""

import pytest

from atoll_node.settings import S3Store
from atoll_node.store.policy import least_policy, policy_name
from atoll_node.store.s3_adapter import Versioning
from atoll_node.store.setup import KEPT_DAYS, Seen, Wish, days_kept, planned

OFF, FOR_EVER, MONTH = Versioning(False), Versioning(True), Versioning(True, 30)


def states(*, bucket=True, versioning=OFF, key=True, makes_users=True, **wish) -> dict[str, str]:
    steps = planned(Seen(bucket, versioning, key, makes_users), Wish(**wish))
    return {step.name: step.state for step in steps}


def test_a_store_that_has_everything_needs_nothing():
    assert states() == {"bucket": "there", "versions": "there", "key": "there"}


def test_steps_stand_in_the_order_in_which_they_are_done():
    assert list(states()) == ["bucket", "versions", "key"]


def test_what_the_store_does_not_tell_the_key_is_left_to_a_person():
    assert set(states(bucket=None, versioning=None, key=False).values()) == {"by hand"}


def test_an_absent_bucket_is_made():
    assert states(bucket=False)["bucket"] == "to do"


@pytest.mark.parametrize(
    ("versioning", "keep", "state"),
    [
        (OFF, None, "there"),
        (OFF, 14, "to do"),
        (FOR_EVER, None, "to do"),
        (FOR_EVER, 14, "to do"),
        (MONTH, None, "there"),
        (MONTH, 30, "there"),
        (MONTH, 14, "to do"),
        (None, None, "there"),
        (None, 14, "by hand"),
    ],
)
def test_older_versions_stay_as_long_as_was_asked_and_never_for_ever(versioning, keep, state):
    assert states(versioning=versioning, keep_deleted=keep)["versions"] == state


def test_versions_that_stay_for_ever_are_explained_by_those_who_are_to_be_forgotten():
    _, versions, _ = planned(Seen(True, FOR_EVER, True, True), Wish())

    assert "forgotten" in versions.told
    assert str(KEPT_DAYS) in versions.told


def test_the_days_are_those_that_were_asked_for():
    assert days_kept(Wish(keep_deleted=7)) == 7
    assert days_kept(Wish()) == KEPT_DAYS


@pytest.mark.parametrize(
    ("key", "makes_users", "administrator", "state"),
    [
        (True, True, False, "there"),
        (False, True, False, "by hand"),
        (False, True, True, "to do"),
        (True, True, True, "to do"),
        (False, False, True, "by hand"),
        (True, False, True, "there"),
    ],
)
def test_the_node_s_user_is_made_where_an_administrator_and_the_store_allow_it(
    key, makes_users, administrator, state
):
    found = states(key=key, makes_users=makes_users, by_administrator=administrator)

    assert found["key"] == state


def a_store(prefix: str) -> S3Store:
    return S3Store(
        kind="s3", endpoint="https://s3", bucket="lake", prefix=prefix,
        access_key_file="a", secret_key_file="s",
    )  # fmt: skip


def test_the_policy_names_the_bucket_and_nothing_beyond_it():
    policy = least_policy(a_store("atoll"))

    resources = {name for statement in policy["Statement"] for name in statement["Resource"]}
    assert resources == {"arn:aws:s3:::lake", "arn:aws:s3:::lake/atoll/*"}


@pytest.mark.parametrize("prefix", ["atoll", "/atoll/"])
def test_listing_is_bound_to_the_prefix(prefix):
    policy = least_policy(a_store(prefix))

    (listing,) = [one for one in policy["Statement"] if "s3:ListBucket" in one["Action"]]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["atoll", "atoll/*"]}}


def test_without_a_prefix_the_whole_bucket_is_the_node_s():
    policy = least_policy(a_store(""))

    assert "arn:aws:s3:::lake/*" in policy["Statement"][2]["Resource"]
    assert "Condition" not in policy["Statement"][1]


def test_the_policy_has_no_wildcard_action_and_makes_no_bucket_or_user():
    actions = {action for one in least_policy(a_store("atoll"))["Statement"] for action in one["Action"]}

    assert not any("*" in action for action in actions)
    assert not any(
        word in action
        for action in actions
        for word in ("CreateBucket", "DeleteBucket", "PutBucket", "admin")
    )


def test_the_policy_has_a_name_of_its_own():
    assert policy_name(a_store("atoll")) == "atoll-node-lake"
