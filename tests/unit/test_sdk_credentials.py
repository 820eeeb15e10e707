"""The token travels over TLS, only to its hub, and rests in a file that nobody else can read."""

import stat

import pytest

import atoll
from atoll.credentials import Account, checked, file_path, from_environment, load, save

HUB = "https://hub.example.org"
KEPT = Account(HUB, "secret-token")


def environment(tmp_path, **more):
    return {"ATOLL_CREDENTIALS": str(tmp_path / "atoll" / "credentials.json"), **more}


def test_the_environment_names_hub_and_token(tmp_path):
    account = from_environment(environment(tmp_path, ATOLL_HUB=HUB + "/", ATOLL_TOKEN=" abc "))
    assert account == Account(HUB, "abc")


def test_a_token_may_come_from_a_file(tmp_path):
    (tmp_path / "token").write_text("abc\n")
    given = environment(tmp_path, ATOLL_HUB=HUB, ATOLL_TOKEN_FILE=str(tmp_path / "token"))
    assert from_environment(given).token == "abc"


def test_login_keeps_the_account_for_its_owner_only(tmp_path):
    given = environment(tmp_path)
    path = file_path(given)
    save(KEPT, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert from_environment(given) == KEPT


def test_saving_again_replaces_and_leaves_nothing_behind(tmp_path):
    path = file_path(environment(tmp_path))
    save(KEPT, path)
    save(Account(HUB, "newer"), path)
    assert load(path)["token"] == "newer"
    assert [it.name for it in path.parent.iterdir()] == ["credentials.json"]


def test_a_file_that_others_can_read_is_refused(tmp_path):
    path = file_path(environment(tmp_path))
    save(KEPT, path)
    path.chmod(0o644)
    with pytest.raises(atoll.SignInError, match="chmod 600"):
        load(path)


def test_the_kept_token_is_not_sent_to_another_hub(tmp_path):
    save(KEPT, file_path(environment(tmp_path)))
    with pytest.raises(atoll.SignInError) as caught:
        from_environment(environment(tmp_path, ATOLL_HUB="https://other.example.org"))
    assert caught.value.code == "token.missing"


def test_without_a_hub_the_way_to_sign_in_is_named(tmp_path):
    with pytest.raises(atoll.SignInError, match="atoll login"):
        from_environment(environment(tmp_path))


def test_a_damaged_file_is_named(tmp_path):
    path = file_path(environment(tmp_path))
    save(KEPT, path)
    for text in ("{", "[]", '{"hub": 1}'):
        path.write_text(text)
        with pytest.raises(atoll.SignInError) as caught:
            load(path)
        assert caught.value.code == "token.file"


def test_the_file_lies_where_the_system_keeps_settings():
    assert str(file_path({"HOME": "/home/ada"})) == "/home/ada/.config/atoll/credentials.json"
    assert str(file_path({"XDG_CONFIG_HOME": "/cfg"})) == "/cfg/atoll/credentials.json"


@pytest.mark.parametrize(
    "hub", ["hub.example.org", "ftp://hub", "https://", "https://ada:pw@hub", "https://hub?x=1"]
)
def test_an_address_that_is_none_is_refused(hub):
    with pytest.raises(atoll.Invalid) as caught:
        checked(hub, "abc")
    assert caught.value.code == "hub.address"


def test_plain_http_is_for_this_machine_only():
    with pytest.raises(atoll.Invalid) as caught:
        checked("http://hub.example.org", "abc")
    assert caught.value.code == "hub.plain_http"
    assert checked("http://127.0.0.1:8080", "abc").hub == "http://127.0.0.1:8080"
    assert checked("http://hub.internal", "abc", plain_http=True)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "é"])
def test_a_token_that_cannot_travel_is_refused_and_not_repeated(token):
    with pytest.raises(atoll.SignInError) as caught:
        checked(HUB, token)
    assert not token or token not in str(caught.value)


def test_a_token_is_in_no_repr():
    assert "secret-token" not in repr(KEPT)
    assert "secret-token" not in repr(atoll.Hub(HUB, "secret-token"))
