"""The catalogue of measures as cards: definition, formula, parameters, worked example, checks."""

import streamlit as st

from analytics.figures.words import t
from analytics.view import asking, methods

measures = asking.desk().measures()
st.title(t("methods.answer", n=len(measures)), anchor=False)
st.caption(t("methods.intro"))
methods.cards(methods.chosen(measures))
