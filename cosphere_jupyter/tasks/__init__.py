"""The task engine: every long work is a record in the database and a killable child process."""
