"""Nothing but a file beside `tables` and `test_run`: pytest puts its folder on the path, also for tests below it."""
