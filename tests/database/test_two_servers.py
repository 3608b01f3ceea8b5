"""Two Jupyter servers on one data directory: the second says where the first is, and takes over when it is gone."""

from __future__ import annotations

import logging
import os

import pytest

from cosphere_jupyter.errors import Unavailable
from cosphere_jupyter.services import Services, Settings


def settings(tmp_path, url):
    return Settings(
        data_dir=tmp_path / "workspace", data_folders=(tmp_path,), card=lambda: {"pid": os.getpid(), "url": url}
    )


async def test_the_second_server_is_told_where_the_first_is_and_takes_over_later(tmp_path):
    log = logging.getLogger("test")
    first = Services(settings(tmp_path, "http://127.0.0.1:1/"), log)
    second = Services(settings(tmp_path, "http://127.0.0.1:2/"), log)
    await first.ready()
    for _ in range(3):
        with pytest.raises(Unavailable) as refused:
            await second.ready()
        assert refused.value.details == {"url": "http://127.0.0.1:1/", "pid": os.getpid()}
    await first.stop()
    await second.ready()
    await second.stop()


async def test_over_http_the_second_server_answers_503_with_the_address(
    jp_serverapp, services, owner, tmp_path, caplog
):
    other = Services(settings(tmp_path, "http://127.0.0.1:1/"), logging.getLogger("test"))
    await services.stop()
    # A server that restarts: the same settings, not opened yet.
    again = Services(services.settings, services.log)
    jp_serverapp.web_app.settings["cosphere_services"] = again
    await other.ready()
    caplog.clear()
    for _ in range(5):
        refused = await owner.get("/accounts/me")
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.levelname for record in told] == ["WARNING"], "it is said once"
    assert "served by another Jupyter server: http://127.0.0.1:1/" in told[0].getMessage()
    assert refused.status == 503
    assert refused.event == "WORKSPACE_IS_SERVED_ELSEWHERE"
    assert refused.json["url"] == "http://127.0.0.1:1/"
    assert refused.headers["Retry-After"] == "1"
    await other.stop()
    assert (await owner.get("/accounts/me")).status == 200
    await again.stop()
    caplog.clear()
    assert (await owner.get("/accounts/me")).status == 503
    assert [record.levelname for record in caplog.records if record.levelno >= logging.WARNING] == ["WARNING"]
