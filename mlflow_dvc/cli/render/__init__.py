"""The only printer. A module for each kind of answer; each has it as JSON and for people."""
