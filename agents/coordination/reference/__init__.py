"""Tables of care that no event changes: directory, calendar, value sets, scores, activity codes."""
