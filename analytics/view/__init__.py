"""The dashboard around the pages: choices that live in the link, charts and tables of released answers, explanations."""
