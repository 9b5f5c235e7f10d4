"""Released answers in words, as tables and as charts, in Chinese and English, for a page and for a file alike."""
