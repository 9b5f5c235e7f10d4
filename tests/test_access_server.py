"""A server that is not safe does not start, and says why; grants are signed, and only go forward."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import oidc
import pytest
from bureaus import claims, served, visit

from analytics.figures import words
from analytics.release import (
    BadGrants,
    Denied,
    LoginOver,
    Server,
    Sessions,
    Unsafe,
    Viewer,
    access,
    grants,
    is_loopback,
    read_grants,
    sign_grants,
)
from analytics.view import door

Run = Callable[..., tuple[int, str, str]]
PUBLIC = {
    "hosts": ["jianfu.example.gov.cn"],
    "redirect_uri": "https://jianfu.example.gov.cn/oauth2callback",
    "server_metadata_url": "https://login.example.gov.cn/.well-known/openid-configuration",
    "tls_at_proxy": True,
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "server").mkdir()
    return tmp_path / "server"


def refused(folder: Path, store: Path, **changed: Any) -> list[str]:
    return Server(oidc.configuration(folder, 8501, 8502, **PUBLIC | changed), store).refusals()


def test_what_is_in_order_starts(folder: Path, store: Path) -> None:
    assert refused(folder, store) == []
    assert Server(oidc.configuration(folder, 8501, 8502), store).refusals() == []


def _spoil(folder: Path, store: Path) -> None:
    """Grants changed after they were signed."""
    file = folder / "grants.toml"
    file.write_text(file.read_text().replace("zhuhai", "weihai", 1))


def _older(folder: Path, store: Path) -> None:
    """A later version was in force."""
    oidc.grants(folder, oidc.GRANTS.replace("version = 1", "version = 7"))
    assert refused(folder, store) == []
    oidc.grants(folder)


def _other_key(folder: Path, store: Path) -> None:
    (folder / "grants.key").unlink()
    sign_grants(folder / "grants.toml", folder / "other.key")


def _open_folder(folder: Path, store: Path) -> None:
    """The grants nobody else may write, but anybody may put other ones in their place."""
    (folder / "open").mkdir()
    (folder / "grants.toml").rename(folder / "open" / "grants.toml")
    (folder / "open").chmod(0o777)


UNSAFE: dict[str, tuple[dict[str, Any], Callable[[Path, Path], Any] | None, str]] = {
    "no login": ({"client_id": None}, None, "login is not configured"),
    "a short cookie secret": ({"cookie_secret": "x" * 31}, None, "shorter than 32 bytes"),
    "a cookie secret of one character": ({"cookie_secret": "x" * 64}, None, "anybody can guess it"),
    "the cookie secret of the example": (
        {"cookie_secret": "至少 32 字节的随机文字 at least 32 random bytes"},
        None,
        "secrets.token_hex(32)",
    ),
    "the client secret of the example": ({"client_secret": "…"}, None, "your login provider gave"),
    "no hosts": ({"hosts": []}, None, "name the hosts"),
    "any host": ({"hosts": ["*"]}, None, "name the hosts"),
    "errors in full": ({"error_details": "full"}, None, 'must be "none"'),
    "no TLS": ({"tls_at_proxy": False}, None, "speaks TLS only"),
    "back by http": (
        {"redirect_uri": "http://jianfu.example.gov.cn/oauth2callback"},
        None,
        "begin with https",
    ),
    "back to another host": ({"redirect_uri": "https://evil.example/oauth2callback"}, None, "one of hosts"),
    "a provider by http": (
        {"server_metadata_url": "http://login.example.gov.cn/x"},
        None,
        "reached by https",
    ),
    "every address": ({"address": "0.0.0.0"}, None, "listens to everybody"),
    "no grants": ({"grants": "nowhere.toml"}, None, "no such file"),
    "no key": ({"grants_key": "nowhere.pub"}, None, "no such file"),
    "changed grants": ({}, _spoil, "changed since it was signed"),
    "grants signed by another": ({}, _other_key, "signed by another key"),
    "older grants": ({}, _older, "version 7 was in force"),
    "grants for anybody to write": ({}, lambda f, _: (f / "grants.toml").chmod(0o666), "anybody may write"),
    "grants in a folder for anybody to write": (
        {"grants": "open/grants.toml"},
        _open_folder,
        "or its folder",
    ),
    "a store for anybody to write": ({}, lambda _, s: s.chmod(0o777), "anybody may write to the store"),
    "logins inside the store": ({"state": "../store/logins"}, None, "lies inside the store"),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_what_is_not_safe_does_not_start(folder: Path, store: Path, name: str) -> None:
    changed, spoil, told = UNSAFE[name]
    oidc.configuration(folder, 8501, 8502)
    if spoil:
        spoil(folder, store)
    found = refused(folder, store, **changed)
    assert told in found[0], found
    assert len(found) == 1 or "hosts" in changed  # the way back must lead to one of them


def test_a_file_with_secrets_that_others_may_read(folder: Path, store: Path) -> None:
    path = oidc.configuration(folder, 8501, 8502)
    path.chmod(0o644)
    (line,) = Server(path, store).refusals()
    assert "chmod 600" in line


def test_grants_below_the_signature_are_not_lost(folder: Path) -> None:
    """Written there, they would be signed away: the file stays as it is until they stand above."""
    oidc.grants(folder)
    file, more = folder / "grants.toml", '\n[[grant]]\nsub = "late"\nrole = "auditor"\n'
    above = file.read_text("utf-8").replace("version = 1", "version = 2")
    file.write_text(above + more, "utf-8")
    with pytest.raises(BadGrants, match="below the signature; move it above"):
        sign_grants(file, folder / "grants.key")
    assert file.read_text("utf-8") == above + more
    body, mark, signature = above.rpartition("# signature: ")
    file.write_text(body + more + mark + signature, "utf-8")
    public = sign_grants(file, folder / "grants.key")
    assert "late" in read_grants(file.read_bytes(), public.read_bytes()).viewers


def test_a_key_taken_out_of_use_counts_no_more(folder: Path, store: Path) -> None:
    """From the next look on, though the grants it signed lie there unchanged."""
    server = Server(oidc.configuration(folder, 8501, 8502), store)
    assert "zhuhai" in server.grants().viewers
    (folder / "other.toml").write_text("version = 1\n")
    sign_grants(folder / "other.toml", folder / "other.key").replace(folder / "grants.key.pub")
    with pytest.raises(BadGrants, match="signed by another key"):
        server.grants()


def _roles(monkeypatch: pytest.MonkeyPatch, **copies: str) -> None:
    known = access.roles()
    more = known | {name: known[role] for name, role in copies.items()}
    for module in (access, grants):
        monkeypatch.setattr(module, "roles", lambda: more)


def _granted(text: str) -> Viewer:
    return grants.check(f'version = 1\n[[grant]]\nsub = "x"\n{text}\n'.encode()).viewers["x"]


def test_what_a_role_needs_does_not_hang_on_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _roles(monkeypatch, reinsurer="insurer", inspector="auditor", console="local")
    with pytest.raises(BadGrants, match="reinsurer: needs the products"):
        _granted('role = "reinsurer"\ncities = ["weihai"]')
    with pytest.raises(ValueError, match="needs the products"):
        Viewer("x", "reinsurer", frozenset({"371000"}), frozenset())
    assert _granted('role = "reinsurer"\ncities = ["weihai"]\nproducts = ["wnb"]').products == frozenset(
        {"wnb"}
    )
    assert _granted('role = "inspector"').cities is None
    assert _granted('role = "inspector"\ncities = ["weihai"]').cities is None
    for role in ("local", "console"):
        with pytest.raises(BadGrants, match=f"{role} is who sits at the machine"):
            _granted(f'role = "{role}"')


def test_a_role_says_whether_it_needs_products() -> None:
    row = access.roles()["insurer"].model_dump(exclude={"products"})
    with pytest.raises(ValueError, match="products"):
        access.Role.model_validate(row)


@pytest.mark.parametrize("text", ["", "[server]\nhostes = []", "[server", "\xff"])
def test_no_configuration_at_all(folder: Path, store: Path, text: str) -> None:
    path = folder / "server.toml"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)
    try:
        assert len(Server(path, store).refusals()) > 3
    except Unsafe as error:
        assert "server.toml" in str(error)


def test_the_command_refuses_before_it_serves(
    run: Run, folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JIANFU_SERVER", raising=False)
    path = oidc.configuration(folder, 8501, 8502, tls_at_proxy=False, **{"hosts": ["jianfu.example.gov.cn"]})
    code, _, told = run("serve", store, "--server", path)
    assert code == 1 and "will not start" in told and "TLS" in told and "redirect_uri" in told
    monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", "0.0.0.0")
    code, _, told = run("serve", store)
    assert code == 1 and "for this machine only" in told


def test_the_settings_in_force_are_looked_at_too(
    folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the program was started."""
    held: dict[str, Any] = {"server.address": "127.0.0.1"}
    monkeypatch.setattr(door.st, "get_option", held.get)
    monkeypatch.delenv("JIANFU_SERVER", raising=False)
    assert door.unsafe() == []
    held["server.address"] = None
    assert "every one" in door.unsafe()[0]
    monkeypatch.setenv("JIANFU_STORE", str(store))
    monkeypatch.setenv("JIANFU_SERVER", str(oidc.configuration(folder, 8501, 8502)))
    held |= door.options()
    assert door.unsafe() == []
    for option, wrong in (
        ("client.showErrorDetails", "full"),
        ("server.address", "0.0.0.0"),
        ("server.enableXsrfProtection", False),
        ("server.trustedUserHeaders", {"X-User": "sub"}),
        ("server.allowedHosts", ["*"]),
        ("server.enableStaticServing", True),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(held, option, wrong)
            (line,) = door.unsafe()
            assert option in line


def test_this_machine() -> None:
    for mine in ("localhost", "127.0.0.1", "127.0.0.9", "::1", "[::1]"):
        assert is_loopback(mine)
    for other in ("", "0.0.0.0", "::", "10.0.0.1", "localhost.example.com", "127.0.0.1.example.com"):
        assert not is_loopback(other)


def test_grants_are_signed_and_checked(run: Run, folder: Path) -> None:
    file, key = folder / "grants.toml", folder / "key"
    file.write_text(oidc.GRANTS, encoding="utf-8")
    code, out, _ = run("grants", "sign", file, "--key", key)
    assert code == 0 and "version 1: 6 granted" in out and re.search(r"zhuhai\s+official\s+440400", out)
    assert (key.stat().st_mode & 0o777) == 0o600
    assert run("grants", "check", file, "--key", f"{key}.pub")[0] == 0
    once = file.read_bytes()
    run("grants", "sign", file, "--key", key)
    assert file.read_bytes() == once
    public = Path(f"{key}.pub").read_bytes()
    granted = read_grants(once, public)
    assert granted.viewers["guangdong"].cities == {"440400", "440800"}
    assert granted.viewers["auditor"].cities is None
    for position in range(0, len(once), 61):  # any byte
        spoilt = once[:position] + bytes([once[position] ^ 1]) + once[position + 1 :]
        with pytest.raises(BadGrants):
            read_grants(spoilt, public)
    with pytest.raises(BadGrants):
        read_grants(oidc.GRANTS.encode(), public)


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ('role = "official"', 'role = "king"', "roles are"),
        ('role = "official"', 'role = "local"', "nobody else is granted it"),
        ('cities = ["zhuhai"]', "cities = []", "names no city"),
        ('cities = ["zhuhai"]', 'cities = "all"', "needs its cities"),
        ('cities = ["zhuhai"]', 'cities = ["atlantis"]', "no such city"),
        ('products = ["wnb"]', "", "products of its contract"),
        ('sub = "weihai"', 'sub = "zhuhai"', "granted twice"),
        ("version = 1", "version = 0", "version"),
        ("version = 1", "version = 1\nadmin = true", "admin"),
    ],
)
def test_what_cannot_be_granted(run: Run, folder: Path, was: str, now: str, told: str) -> None:
    file = folder / "grants.toml"
    file.write_text(oidc.GRANTS.replace(was, now, 1), encoding="utf-8")
    code, _, said = run("grants", "sign", file, "--key", folder / "key")
    assert code == 1 and told in said and not (folder / "key").exists()


# --- logins


def test_a_login_counts_until_it_expires_or_ends(tmp_path: Path) -> None:
    table, login = Sessions(tmp_path / "s.sqlite"), claims("zhuhai")
    now = login["iat"]
    assert table.check(login) == "zhuhai"
    for over, moment in (
        (login, login["exp"]),
        ({**login, "exp": now + 10**6}, now + 8 * 3600),
        ({**login, "iat": now - 4000}, now),  # before the table knew of logouts
        ({**login, "iat": now + 4000, "exp": now + 9000}, now),
        ({**login, "exp": None}, now),
        ({**login, "iat": "yesterday"}, now),
        ({**login, "sub": ""}, now),
        ({**login, "is_logged_in": False}, now),
        ({}, now),
    ):
        with pytest.raises(LoginOver):
            table.check(over, moment)
    table.end(login)
    with pytest.raises(LoginOver):
        table.check(login)
    with pytest.raises(LoginOver):
        Sessions(tmp_path / "s.sqlite").check(login)  # another process, or after a restart
    assert table.check({**login, "iat": now + 1, "exp": now + 60}) == "zhuhai"


def test_a_grant_that_changes_counts_on_the_next_run(
    folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(folder, store, monkeypatch)
    at = visit("zhuhai", "methods")
    assert not at.exception and words.both("closed_title.nobody")["zh"] not in [t.value for t in at.title]
    oidc.grants(
        folder, oidc.GRANTS.replace("version = 1", "version = 2").replace('sub = "zhuhai"', 'sub = "gone"')
    )
    assert [t.value for t in at.run().title] == [words.both("closed_title.nobody")["zh"]]
    oidc.grants(folder)  # version 1 again: it must not come back
    assert [t.value for t in at.run().title] == [words.both("closed_title.grants")["zh"]]


def test_a_file_is_made_only_for_a_login_that_still_counts(
    folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Server(served(folder, store, monkeypatch), store)
    monkeypatch.setattr(door, "server", lambda: config)
    monkeypatch.setattr(door.st, "user", type("User", (), {"to_dict": staticmethod(lambda: login)}))
    login = claims("zhuhai")
    made = door.held(lambda: b"numbers")
    assert made() == b"numbers"
    oidc.grants(folder, oidc.GRANTS.replace("version = 1", "version = 2").replace('["zhuhai"]', '["weihai"]'))
    with pytest.raises(Denied):
        made()
    oidc.grants(folder, oidc.GRANTS.replace("version = 1", "version = 3"))
    assert made() == b"numbers"
    config.sessions.end(login)
    with pytest.raises(Denied):
        made()
