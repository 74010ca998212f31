"""Text that would act on a terminal, on a page, or pretend to be a line of the answer."""

from __future__ import annotations

from functools import partial

from attacks.forgery import Forgery
from attacks.kinds import hostile

TEXTS = {
    "escape": "\x1b[2J\x1b[1;1HPASS\x1b]0;owned\x07",
    "c1": "\x9b2J\x85",
    "bidi": "\u202egnp.exe\u2066",
    "zero-width": "a\u200bb\u200dc\ufeff",
    "newline": "x\nPASS        record  everything",
    "return": "FAIL\rPASS",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "markdown": "[x](javascript:alert(1)) ![x](http://127.0.0.1:1/x) `",
    "markup": "[bold red]x[/] [link=http://x]y[/link] \\",
}


def everywhere(text: str, run: Forgery) -> None:
    run.name = text
    run.said["git"] |= {"branch": text, "describe": text, "omitted": [f"{text}: {text}"]}
    run.said.update(experiment=text, warnings=[text], uncovered=[text], changed=[text])
    run.said["stages"].append({"address": text, "deps": [text]})
    run.add_data(f"data/{text}".replace("/<", "<"), source=text, stage=text)
    run.said["deps"].append({**run.said["deps"][0], "path": text})
    run.tags |= {"mlflow.user": text}


for _name, _text in TEXTS.items():
    hostile(f"terminal-{_name}", fast=_name in ("escape", "bidi"))(partial(everywhere, _text))


@hostile("terminal-stage")
def stage(run: Forgery) -> None:
    run.said["stage"] = "train\x1b[2J\u202e"


def command(text: str, run: Forgery) -> None:
    import json

    yaml = run.files["dvc.yaml"].decode()
    run.commit({"dvc.yaml": yaml.replace("python src/train.py", json.dumps(text))})


for _name, _text in {
    "newlines": "python a.py" + "\n" * 80 + "touch ran/stage",
    "escape": "python a.py \x1b[1A\x1b[2K touch ran/stage",
    "bidi": "python \u202e a.py touch ran/stage",
    "long": "python a.py " + " " * 100_000 + "touch ran/stage",
}.items():
    hostile(f"terminal-command-{_name}", fast=_name == "newlines")(partial(command, _text))


@hostile("terminal-patch")
def patch(run: Forgery) -> None:
    text = "\x1b[2J\u202e\r\x9b"
    run.add_patch(
        (
            f"diff --git a/x{text} b/x{text}\nnew file mode 100644\n"
            f"--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+{text}\n"
        ).encode()
    )
