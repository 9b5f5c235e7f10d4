"""How a choice lives: seeded from the link, kept over pages and languages, written back to the link as neutral codes.

Choices live in `st.session_state.choices`, not in the widgets: Streamlit forgets a widget that a page does not show.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlencode

import streamlit as st

from analytics import reference
from analytics.figures import words
from analytics.figures.words import t

_PLACES = ("city", "cities", "benchmark", "other_city", "highlight")
_PREFIX = "w_"
# Chinese may break after any character: on a phone a column would shrink to one of them. A card's label was cut, not broken.
_LAYOUT = """<style>
[data-testid=stTable] :is(th, td) { min-width: 6em }
[data-testid=stMetric] [data-testid=stMetricLabel] p { white-space: normal }
</style>"""
TAGS = {"zh": "zh-CN", "en": "en"}  # of a language, as browsers name it


def _reader() -> words.Reader:
    state = st.session_state
    return words.Reader(
        str(state.get("language", "zh")), str(state.get("choices", {}).get("unit", ["auto"])[0])
    )


words.read_by(_reader)


def begin() -> None:
    """Begin a run: read the link once per session."""
    state = st.session_state
    if "choices" not in state:
        state.choices = {name: _from_link(name, st.query_params[name]) for name in st.query_params}
        state.linked = set(state.choices)
        asked = state.choices.get("lang") or ["zh"]
        state.language = asked[0] if asked[0] in words.LANGUAGES else "zh"
    state.used, state.notices = {}, []


def turn_to(page: str) -> None:
    """Say which page runs: where it changed, all widgets are seeded anew from the choices."""
    st.session_state.fresh = st.session_state.get("page") != page
    st.session_state.page = page


def push() -> None:
    """Write the choices this page used to the link, if it does not hold them already; `all` and `auto` go without saying."""
    used = st.session_state.used.items()
    wanted = {name: _to_link(name, values) for name, values in used if values not in (["all"], ["auto"])}
    if wanted != st.query_params.to_dict():
        st.query_params.from_dict(wanted)


def link() -> str:
    """Where this page is found again, as far as its choices are made."""
    chosen = {
        **st.query_params.to_dict(),
        **{n: _to_link(n, v) for n, v in st.session_state.used.items() if v not in (["all"], ["auto"])},
    }
    return f"{st.context.url or ''}?{urlencode(chosen, safe=',')}"


def slug(code: str) -> str:
    """A place's name as links and files spell it; any other code as it is."""
    known = reference.places()
    return known[code].slug if code in known else code


def _from_link(name: str, text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return [reference.place_code(part) for part in parts] if name in _PLACES else parts


def _to_link(name: str, values: Sequence[str]) -> str:
    return ",".join(slug(v) if name in _PLACES else v for v in values)


def _settle(name: str, slot: str, labels: Mapping[str, str], default: Sequence[str]) -> list[str]:
    """The choice as it stands, cut to what can be chosen; what had to be dropped is noted."""
    state = st.session_state
    chosen: list[str] = (
        state.choices[name] if name in state.linked else state.choices.get(slot, list(default))
    )
    kept = list(dict.fromkeys(v for v in chosen if v in labels)) or list(default)
    dropped = [v for v in chosen if v not in labels]
    if dropped or not chosen:
        why = "notice.link" if name in state.linked else "notice.choice"
        used = words.plain(words.listing([labels[v] for v in kept]))
        lost = words.plain(words.listing(dropped)) or "∅"
        state.notices.append(t(why, name=t(f"control.{name}"), dropped=lost, used=used))
    state.linked.discard(name)
    state.choices[slot] = kept
    return kept


def notices() -> None:
    """Say which choices could not be kept. Call after a row of controls."""
    for notice in st.session_state.notices:
        st.warning(notice, icon=":material/link_off:")
    st.session_state.notices = []


def _keep(name: str, slot: str, values: list[str]) -> None:
    st.session_state.choices[slot] = st.session_state.used[name] = values


def one(
    name: str,
    options: Sequence[str],
    show: Callable[[str], str],
    default: str | None = None,
    buttons: bool = False,
    own: bool = False,
    on_change: Callable[[], None] | None = None,
    slider: bool = False,
    width: int | None = None,
) -> str:
    """Choose one of the codes `options`; `show` gives a code's words.

    `buttons`: side by side instead of a list; `slider`: on a line, in order. `own`: each page remembers its own choice of
    this name. `width`: in pixels, else as wide as there is room.
    """
    state = st.session_state
    slot = f"{name}@{state.page}" if own else name
    key = _PREFIX + slot
    labels = {code: show(code) for code in options}
    kept = _settle(name, slot, labels, [default if default is not None and default in labels else options[0]])
    if state.fresh or state.get(key) not in labels:
        state[key] = kept[0]
    label, codes, now = t(f"control.{name}"), list(labels), state[key]
    changed: Callable[[], None] | Literal["rerun"] = on_change or "rerun"
    # The choice is the default as well: a browser that is interrupted before it has taken over a value sends the default back.
    more: dict[str, Any] = {"format_func": labels.__getitem__, "key": key, "on_change": changed}
    more |= {"width": width} if width else {}
    if buttons:
        picked = st.segmented_control(label, codes, default=now, required=True, **more)
    elif slider:
        picked = st.select_slider(label, codes, value=now, **more)
    else:
        picked = st.selectbox(label, codes, index=codes.index(now), **more)
    _keep(name, slot, [str(picked)])
    return str(picked)


def kept(name: str, options: Sequence[str]) -> str:
    """A choice that has no control of its own (see `keep`); empty where nothing is chosen."""
    state = st.session_state
    chosen: list[str] = state.choices.get(name, [])
    known = [v for v in chosen if v in options][:1]
    if chosen and not known:
        used = words.plain(t("control.nothing"))
        lost = words.plain(words.listing(chosen))
        why = "notice.link" if name in state.linked else "notice.choice"
        state.notices.append(t(why, name=t(f"control.{name}"), dropped=lost, used=used))
    state.linked.discard(name)
    keep(name, known[0] if known else "")
    return known[0] if known else ""


def keep(name: str, value: str) -> None:
    """Make a choice that has no control of its own; empty: none."""
    state = st.session_state
    state.choices[name] = [value] if value else []
    state.used.pop(name, None)
    if value:
        state.used[name] = [value]


def forget(*names: str) -> None:
    """Take choices of this page back to what they are unless chosen. For the callback of another control."""
    state = st.session_state
    for name in names:
        slot = f"{name}@{state.page}"
        state.choices.pop(slot, None)
        if _PREFIX + slot in state:
            del state[_PREFIX + slot]


def many(name: str, options: Sequence[str], show: Callable[[str], str]) -> list[str]:
    """Choose any of the codes `options`; none chosen counts as all of them."""
    key, state = _PREFIX + name, st.session_state
    labels = {code: show(code) for code in options}
    kept = _settle(name, name, labels, options)
    if state.fresh or key not in state or any(v not in labels for v in state[key]):
        state[key] = kept
    picked = st.multiselect(
        t(f"control.{name}"),
        list(labels),
        state[key],
        format_func=labels.__getitem__,
        key=key,
        placeholder=t("control.everything"),
    )
    chosen = [v for v in labels if v in picked] or list(options)
    _keep(name, name, chosen)
    return chosen


def few(name: str, options: Sequence[str], show: Callable[[str], str], most: int) -> list[str]:
    """Choose at most so many of the codes `options`; none is a choice too."""
    key, state = _PREFIX + name, st.session_state
    labels = {code: show(code) for code in options}
    chosen = state.choices.get(name, [])
    kept = [v for v in dict.fromkeys(chosen) if v in labels][:most]
    if dropped := [v for v in chosen if v not in kept]:
        why = "notice.link" if name in state.linked else "notice.choice"
        used = words.plain(words.listing([labels[v] for v in kept]) or t("control.nothing"))
        lost = words.plain(words.listing(dropped))
        state.notices.append(t(why, name=t(f"control.{name}"), dropped=lost, used=used))
    state.linked.discard(name)
    if state.fresh or key not in state or any(v not in labels for v in state[key]):
        state[key] = kept
    picked = st.multiselect(
        t(f"control.{name}"),
        list(labels),
        state[key],
        format_func=labels.__getitem__,
        key=key,
        placeholder=t("control.nothing"),
        max_selections=most,
    )
    found = [v for v in labels if v in picked]
    state.choices[name] = found
    state.used.pop(name, None)
    if found:
        state.used[name] = found
    return found


def language_script(tag: str) -> str:
    """The script that states a language in the page; the security policy knows it by its text."""
    return f"document.documentElement.lang = '{tag}'"


def tell_browser() -> None:
    """State the language in the page itself, for screen readers and the right glyphs, also after a switch; and what of its
    layout the framework has no setting for.
    """
    script = f"<script>{language_script(TAGS[words.language()])}</script>"
    st.html(_LAYOUT + script, unsafe_allow_javascript=True)


def language_switch() -> None:
    """Chinese or English; every other choice stays."""
    one("lang", list(words.LANGUAGES), words.LANGUAGES.__getitem__, buttons=True, on_change=_relabel)


def _relabel() -> None:
    # The browser hands selections back as labels. Assigning each widget its own value makes Streamlit send the new
    # labels along with the selection; without this a selection made in one language is lost in the other.
    state = st.session_state
    picked = state[_PREFIX + "lang"]
    if picked in words.LANGUAGES:  # a browser that is behind the server may hand back nothing
        state.language = picked
    for key in [str(k) for k in state if str(k).startswith(_PREFIX)]:
        state[key] = state[key]
