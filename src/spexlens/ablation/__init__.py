"""Running a game: the only place that calls one."""
