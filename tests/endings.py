"""Ways in which a script fails, as code at its end."""

FAILURES = {
    "exception": "raise RuntimeError('broken')",
    "sys.exit": "import sys; sys.exit(3)",
    "SystemExit": "raise SystemExit(3)",
    "words": "raise SystemExit('no')",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "_exit": "import os; os._exit(3)",
    "interrupted": "raise KeyboardInterrupt",
    "builtin": "exit(3)",
    "imported": "from sys import exit as leave\nleave(3)",
    "another exit before": (
        "import sys\ntry:\n    sys.exit(0)\nexcept SystemExit:\n    pass\nraise SystemExit(3)"
    ),
    "no number": "import sys; sys.exit(0.0)",
}
