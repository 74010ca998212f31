"""Runs that an attacker logs to a shared server, and every command that reads them.

``laboratory`` is the user's machine with its secrets, and an attacker's server that listens.
``forgery`` is a run to be logged. The modules of ``kinds`` make one out of an honest run each;
``commands`` has what a person then calls, and runs it in one process. ``traces`` tells what that
has left: files, requests, programs that ran.
"""
