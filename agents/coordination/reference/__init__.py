"""Reference data that no event changes: directory, calendar, value sets, scores, activity codes."""
