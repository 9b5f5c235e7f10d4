"""The catalogue of measures: definition, formula, source, caveat."""

import streamlit as st

from analytics.view import asking, explain, tables
from analytics.view.words import say, t

measures = asking.desk().measures()
st.title(t("methods.answer", n=len(measures)), anchor=False)
tables.show(explain.catalogue(measures), t("page.methods"), left=7, whole=True)
for measure in measures:
    with st.expander(f"{say(measure.title)} · {measure.id}", key=f"m_{measure.id}", on_change="rerun") as box:
        if box.open:
            explain.definition(measure)
