"""Runs several commands of one management program in order: `manage.py MODULE COMMAND ARGS.. ;; COMMAND ARGS..`.

The program is imported once and forked for each command: importing costs seconds, and no command sees another's state.
"""
import importlib
import os
import sys

module = importlib.import_module(sys.argv[1])
commands, command = [], []
for word in sys.argv[2:] + [";;"]:
    if word == ";;":
        commands.append(command)
        command = []
    else:
        command.append(word)
for command in commands:
    child = os.fork()
    if child == 0:
        sys.argv = [sys.argv[1]] + command
        sys.exit(module.main())
    _, status = os.waitpid(child, 0)
    if status != 0:
        sys.exit(f"{command}: ended with status {os.waitstatus_to_exitcode(status)}")
