"""A workspace that cannot be opened says so, leaks nothing, and opens once the cause is gone."""

from __future__ import annotations

import logging
import os
import threading

import pytest

from cosphere_jupyter import services as module
from cosphere_jupyter.errors import Unavailable
from cosphere_jupyter.services import Services, Settings


@pytest.fixture
def impatient(monkeypatch):
    """Try again at once."""
    monkeypatch.setattr(module, "TRY_AGAIN_SECONDS", 0.0)


async def test_a_broken_key_is_reported_leaks_nothing_and_can_be_mended(tmp_path, impatient):
    log = logging.getLogger("test")
    services = Services(Settings(data_dir=tmp_path, data_folders=(tmp_path,)), log)
    await services.ready()
    await services.stop()
    key = (tmp_path / "keys" / "jwt.key").read_bytes()
    (tmp_path / "keys" / "jwt.key").write_bytes(b"")
    services = Services(Settings(data_dir=tmp_path, data_folders=(tmp_path,)), log)
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with pytest.raises(Unavailable, match="cannot be opened") as refused:
            await services.ready()
        assert refused.value.event == "WORKSPACE_CANNOT_BE_OPENED"
        assert "jwt.key" not in str(refused.value) and "jwt.key" in str(refused.value.__cause__)
    assert threading.active_count() <= threads + 1
    assert len(os.listdir("/proc/self/fd")) <= files + 1
    (tmp_path / "keys" / "jwt.key").write_bytes(key)
    await services.ready()
    await services.stop()


async def test_who_asks_again_at_once_gets_the_same_answer_without_another_try(tmp_path, caplog):
    (tmp_path / "cosphere.sqlite").write_bytes(b"this is no database" * 1000)
    services = Services(Settings(data_dir=tmp_path, data_folders=(tmp_path,)), logging.getLogger("test"))
    for _ in range(5):
        with pytest.raises(Unavailable):
            await services.ready()
    assert caplog.text.count("cannot be opened") == 1
    await services.stop()


async def test_over_http_it_is_a_503_in_the_faces_shape(owner, services, impatient):
    await services.stop()
    again = Services(services.settings, services.log)
    (services.settings.data_dir / "keys" / "links.key").write_bytes(b"short")
    from jupyter_server.serverapp import ServerApp

    ServerApp.instance().web_app.settings["cosphere_services"] = again
    answer = await owner.get("/accounts/me")
    assert (answer.status, answer.event) == (503, "WORKSPACE_CANNOT_BE_OPENED")
    assert "links.key" not in answer.body.decode()
    await again.stop()
