"""Reports people take to meetings: Word, Excel, PDF and HTML, from released answers only."""
