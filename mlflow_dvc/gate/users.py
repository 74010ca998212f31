"""What the user of a request may read, by the rights that MLflow's ``basic-auth`` keeps."""

from __future__ import annotations


def user_may_read(run_id: str) -> bool:
    """Whether MLflow would give the run to whoever sent the request that is being answered.

    Asked as for a request for the run itself. What cannot be told is a no.
    """
    import flask
    from mlflow.server import auth
    from werkzeug.datastructures import Headers

    sent = [one for one in flask.request.headers if not one[0].startswith("Content-")]
    asked = flask.current_app.test_request_context(
        "/", query_string={"run_id": run_id}, headers=Headers(sent)
    )
    with asked:
        try:
            return bool(auth.sender_is_admin() or auth.validate_can_read_run())
        except Exception:  # a login of another kind
            return False
