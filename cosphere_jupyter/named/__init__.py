"""Named tasks: functions that a workspace offers to everybody as tasks."""
