"""What this process, its workers and others open below the folders that hold data.

``observer`` is what others use. What a machine allows is chosen by ``sources``: ``fanotify`` tells
who opened a file, ``inotify`` that somebody did, ``audit`` what Python itself opened.
"""
