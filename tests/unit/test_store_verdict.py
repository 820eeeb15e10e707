"""What racing writers were told becomes a verdict: safe, or refused in words that say why and what to do."""

import pytest

from atoll_node.store.verdict import Reply, Round, judged_commits, judged_condition, judged_race

WON, LOST, FAILED = Reply.WON, Reply.LOST, Reply.FAILED


def a_race(*replies: Reply, standing: int | None = 0) -> Round:
    return Round(replies, standing)


def test_a_file_that_is_there_must_not_be_written_over():
    assert judged_condition(LOST).safe


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply.WON, "store.ignores_condition"),
        (Reply.UNSIGNED, "store.condition_removed"),
        (Reply.UNKNOWN, "store.no_condition"),
        (Reply.FAILED, "store.condition_failed"),
    ],
)
def test_every_other_reply_to_a_conditional_write_is_refused_with_its_own_fix(reply, code):
    verdict = judged_condition(reply)

    assert not verdict.safe
    assert verdict.code == code
    assert verdict.fix


def test_one_winner_in_every_round_whose_bytes_stand_is_safe():
    verdict = judged_race([a_race(LOST, WON, LOST, standing=1), a_race(WON, LOST, LOST, standing=0)])

    assert verdict.safe
    assert verdict.told == "2 races of 3 writers had exactly one winner each"


@pytest.mark.parametrize(
    ("rounds", "code"),
    [
        ([a_race(WON, LOST), a_race(WON, WON)], "store.two_winners"),
        ([a_race(WON, LOST), a_race(LOST, LOST, standing=None)], "store.no_winner"),
        ([a_race(FAILED, FAILED, standing=None)], "store.no_winner"),
        ([a_race(WON, LOST, standing=1)], "store.other_bytes"),
        ([a_race(WON, LOST, standing=None)], "store.other_bytes"),
        ([], "store.no_winner"),
    ],
)
def test_one_bad_round_is_enough_to_refuse(rounds, code):
    verdict = judged_race(rounds)

    assert not verdict.safe
    assert verdict.code == code
    assert verdict.fix


def test_the_words_say_how_many_won():
    told = judged_race([a_race(WON, WON, WON, LOST)]).told

    assert "4 writers created the same file at once" in told
    assert "told 3 of them that they had won" in told


def test_a_loser_that_met_an_error_does_not_make_a_store_unsafe():
    """A store may be busy: what counts is that no second writer was told that it had won."""
    assert judged_race([a_race(WON, FAILED, LOST)]).safe


def test_commits_are_good_when_each_acknowledged_row_is_there():
    assert judged_commits(4, acknowledged=20, visible=20, versions=20).safe


@pytest.mark.parametrize(
    ("acknowledged", "visible", "versions", "code"),
    [
        (20, 11, 11, "store.lost_commits"),
        (20, 21, 20, "store.lost_commits"),
        (20, 20, 19, "store.lost_commits"),
        (0, 0, 0, "store.no_commit"),
    ],
)
def test_a_lost_doubled_or_missing_commit_is_refused(acknowledged, visible, versions, code):
    verdict = judged_commits(4, acknowledged, visible, versions)

    assert not verdict.safe
    assert verdict.code == code


def test_no_word_of_a_refusal_is_only_for_programmers():
    """Hospital IT reads it: no type name, no status code, no library."""
    told = [judged_condition(reply).told for reply in Reply]
    told += [judged_race([a_race(WON, WON)]).told, judged_commits(4, 20, 11, 11).told]

    for text in told:
        assert not any(word in text for word in ("412", "Reply", "deltalake", "HTTP", "exception"))
