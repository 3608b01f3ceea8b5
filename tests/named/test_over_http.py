"""Named tasks over the tasks API, on a server that may fetch from one host of the private network."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from traitlets import TraitError

from cosphere_jupyter.app import CosphereApp


@pytest.fixture
def jp_server_config(jp_server_config, web):
    jp_server_config["CosphereApp"]["fetch_hosts"] = [web.allowed]
    return jp_server_config


@pytest.fixture
def picture(web):
    data = io.BytesIO()
    Image.new("RGB", (640, 480), "teal").save(data, "JPEG")
    web.pages["/image.jpg"] = data.getvalue()
    return f"{web.url}/image.jpg"


async def test_both_image_tasks_of_the_documents_example_end_well(owner, picture):
    tasks = [{"task_name": "image.info", "url": picture}, {"task_name": "image.thumb", "url": picture}]
    info, thumb = (await owner.post("/v1/create", {"tasks": tasks, "block": True})).json
    assert (info["status"], info["result"]["width"], info["result"]["content_type"]) == ("success", 640, "image/jpeg")
    assert thumb["result"] | {"output": ""} == {
        "width": 256,
        "height": 192,
        "original_width": 640,
        "original_height": 480,
        "output": "",
    }
    file = await owner.of(None).get(thumb["result"]["output"])
    assert (file.status, file.headers["Content-Type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(file.body)).size == (256, 192)


async def test_an_image_tag_gets_its_thumbnail(owner, picture):
    answer = await owner.get(
        f"/v1/create_file/cat.png?task_name=image.thumb&width=64&crop=true&height=64&format=png&url={picture}"
    )
    assert answer.status == 302
    file = await owner.get(f"http://127.0.0.1:{owner.base.split(':')[2].split('/')[0]}{answer.headers['Location']}")
    assert file.headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(file.body)).size == (64, 64)


async def test_failures_are_those_of_the_document(owner, web, picture):
    web.pages["/cat.jpeg"] = b"no image"
    url = f"{web.url}/cat.jpeg"
    failed = await owner.post("/v1/create_file/x.jpg", {"task": {"task_name": "image.thumb", "url": url}})
    assert (failed.status, failed.json["status"]) == (400, "error")
    assert failed.json["result"] == f"File '{url}' is not a valid image file"
    (missing,) = (await owner.post("/v1/create", {"tasks": {"task_name": "image.info"}, "block": True})).json
    assert missing["result"] == {"parameters": {"url": ["this field is required"]}}
    (unknown,) = (await owner.post("/v1/create", {"tasks": {"task_name": "image.paint"}})).json
    assert (unknown["result"], set(unknown["events"])) == (
        "there is no task named 'image.paint'",
        {"queued", "completed"},
    )
    private = {"task_name": "image.info", "url": f"{owner.base}/accounts/me"}
    (refused,) = (await owner.post("/v1/create", {"tasks": private, "block": True})).json
    assert refused["result"].startswith("CouldNotDownloadError: ")
    assert len(web.requests) == 1


def test_the_setting_takes_hosts_only():
    assert CosphereApp(fetch_hosts=["store.lab", "10.0.0.1:8080"]).fetch_hosts == ["store.lab", "10.0.0.1:8080"]
    for wrong in ("http://store.lab", "10.0.0.0/8", ""):
        with pytest.raises(TraitError, match="fetch_hosts"):
            CosphereApp(fetch_hosts=[wrong])
