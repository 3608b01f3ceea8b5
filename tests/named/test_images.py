"""image.info and image.thumb, on images of many kinds from a real web server."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from cosphere_jupyter.errors import ExecutionError
from cosphere_jupyter.named import child

INFO = "cosphere_jupyter.named.images:info"
THUMB = "cosphere_jupyter.named.images:thumb"


def encoded(image, format, **options):
    data = io.BytesIO()
    image.save(data, format, **options)
    return data.getvalue()


def picture(width=60, height=40, mode="RGB"):
    """Red above left, green above right, blue below left, white below right."""
    image = Image.new("RGB", (width, height), "white")
    image.paste("red", (0, 0, width // 2, height // 2))
    image.paste("lime", (width // 2, 0, width, height // 2))
    image.paste("blue", (0, height // 2, width // 2, height))
    return image.convert(mode)


def corners(image):
    """The colours of the corners as letters, clockwise from above left."""
    image = image.convert("RGB")
    names = {(True, False, False): "r", (False, True, False): "g", (False, False, True): "b", (True,) * 3: "w"}
    w, h = image.width, image.height
    inner = [(w // 4, h // 4), (3 * w // 4, h // 4), (3 * w // 4, 3 * h // 4), (w // 4, 3 * h // 4)]
    return "".join(names.get(tuple(value > 128 for value in image.getpixel(each)), "?") for each in inner)


@pytest.fixture
def serve(web):
    """Put an image on the web and return its URL."""

    def put(data, name="image"):
        web.pages[f"/{name}"] = data
        return f"{web.url}/{name}"

    return put


@pytest.fixture
def run(tmp_path, web):
    """Run a task's function as a child process does and return its result and its files."""

    def call(entry, **values):
        params = {"entry": entry, "values": values, "key": "K", "fetch_hosts": [web.allowed]}
        scratch = tmp_path / "scratch"
        answer = child.run({**params, "scratch": str(scratch)}, lambda progress: None)
        assert not (scratch / "temporary").exists()
        if entry == INFO:
            return answer
        (output,) = answer.facts
        image = Image.open(io.BytesIO((scratch / "outputs" / output["file"]).read_bytes()))
        image.load()
        return answer.result, image, output

    return call


@pytest.fixture
def error(run):
    def call(entry, **values):
        with pytest.raises(ExecutionError) as raised:
            run(entry, **values)
        return raised.value

    return call


def camera(**facts):
    """EXIF as a camera writes it."""
    exif = Image.Exif()
    exif[0x0112] = facts.get("orientation", 1)
    exif[0x0132] = "2010:01:01 00:00:00"
    exif.get_ifd(0x8769).update(
        {0x829A: 1 / 640, 0x8827: 640, 0x9003: "2009:11:02 01:21:55", 0x9209: 16, 0x920A: 28.0, **facts.get("ifd", {})}
    )
    return exif


# -- image.info -------------------------------------------------------------------------------------------------------


def test_info_tells_what_the_document_shows(run, serve):
    url = serve(encoded(picture(1918, 1320), "JPEG", exif=camera()))
    assert run(INFO, url=url) == {
        "type": "image",
        "content_type": "image/jpeg",
        "width": 1918,
        "height": 1320,
        "alpha": False,
        "exif_orientation": 1,
        "rotation": 0,
        "date_time": "2009:11:02 01:21:55",
        "flash": False,
        "focal_length": 28,
        "iso_speed": 640,
        "exposure_time": 0.00156,
    }


def test_info_of_an_image_without_notes_tells_null(run, serve):
    told = run(INFO, url=serve(encoded(picture(), "PNG")))
    noted = ("exif_orientation", "rotation", "date_time", "flash", "focal_length", "iso_speed", "exposure_time")
    assert {name: told[name] for name in noted} == dict.fromkeys(noted)
    assert (told["content_type"], told["width"], told["height"]) == ("image/png", 60, 40)


@pytest.mark.parametrize(
    ("format", "mode", "alpha"),
    [
        *(("JPEG", "RGB", False), ("JPEG", "L", False), ("JPEG", "CMYK", False), ("PNG", "RGB", False)),
        *(("PNG", "RGBA", True), ("PNG", "LA", True), ("PNG", "P", False), ("PNG", "1", False), ("GIF", "P", False)),
        *(("WEBP", "RGB", False), ("WEBP", "RGBA", True), ("BMP", "RGB", False)),
    ],
)
def test_info_knows_formats_and_transparency(run, serve, format, mode, alpha):
    image = picture(mode="RGBA" if mode == "LA" else mode)
    image = image.convert(mode)
    if alpha:
        image.putalpha(100)
    told = run(INFO, url=serve(encoded(image, format)))
    assert (told["content_type"], told["alpha"]) == (f"image/{format.lower()}", alpha)


@pytest.mark.parametrize(
    ("orientation", "rotation"), [(1, 0), (2, None), (3, 180), (6, 270), (8, 90), (0, None), (9, None)]
)
def test_info_tells_how_to_put_an_image_upright(run, serve, orientation, rotation):
    told = run(INFO, url=serve(encoded(picture(), "JPEG", exif=camera(orientation=orientation))))
    assert told["rotation"] == rotation
    assert told["exif_orientation"] == (orientation if 1 <= orientation <= 8 else None)


def test_info_survives_notes_that_break_their_own_rules(run, serve):
    from PIL.TiffImagePlugin import IFDRational

    odd = {0x829A: IFDRational(0, 0), 0x8827: (200, 400), 0x9209: 65, 0x920A: IFDRational(5, 0), 0x9003: "\0 \0"}
    told = run(INFO, url=serve(encoded(picture(), "JPEG", exif=camera(ifd=odd))))
    assert (told["exposure_time"], told["focal_length"], told["iso_speed"], told["flash"]) == (None, None, 200, True)
    assert told["date_time"] == "2010:01:01 00:00:00"
    broken = encoded(picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert run(INFO, url=serve(broken))["width"] == 60


# -- image.thumb ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "wanted", "made"),
    [
        ((600, 400), {}, (256, 171)),
        ((600, 400), {"width": 150}, (150, 100)),
        ((600, 400), {"height": 100}, (150, 100)),
        ((600, 400), {"width": 100, "height": 100}, (100, 67)),
        ((600, 400), {"width": 100, "height": 100, "crop": True}, (100, 100)),
        ((600, 400), {"width": "300", "height": "30", "crop": "true"}, (300, 30)),
        ((60, 40), {"width": 100, "height": 100}, (60, 40)),
        ((60, 40), {"width": 100, "height": 100, "crop": True}, (100, 100)),
        ((60, 40), {"width": 1, "height": 1}, (1, 1)),
        ((3000, 1), {"width": 30}, (30, 1)),
    ],
)
def test_thumb_fits_or_fills(run, serve, size, wanted, made):
    result, image, output = run(THUMB, url=serve(encoded(picture(*size), "PNG")), **wanted)
    assert image.size == (result["width"], result["height"]) == made
    assert (result["original_width"], result["original_height"]) == size
    assert (output["name"], output["file"], output["content_type"]) == ("output", "thumb.jpg", "image/jpeg")


@pytest.mark.parametrize("format", ["jpeg", "gif", "png"])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_thumb_makes_each_format_of_each(run, serve, source, format):
    _, image, output = run(THUMB, url=serve(encoded(picture(300, 200), source)), width=150, format=format)
    assert (image.format, corners(image)) == (format.upper(), "rgwb")
    assert output["content_type"] == f"image/{format}"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK", "YCbCr"])
def test_thumb_makes_colours_of_each_mode(run, serve, mode):
    image = picture(mode="L").convert("I").point(lambda value: value * 257).convert(mode) if mode == "I;16" else None
    image = image or picture(mode="RGBA" if mode == "LA" else "RGB").convert(mode)
    data = encoded(image, "JPEG" if mode in ("CMYK", "YCbCr") else "PNG")
    _, made, _ = run(THUMB, url=serve(data), format="png")
    expected = image.convert("RGB") if mode != "I;16" else picture(mode="L").convert("RGB")
    for where in ((5, 5), (50, 5), (5, 35)):
        difference = [
            abs(a - b) for a, b in zip(made.convert("RGB").getpixel(where), expected.getpixel(where), strict=True)
        ]
        assert max(difference) < 12, (where, made.getpixel(where), expected.getpixel(where))


@pytest.mark.parametrize(
    ("orientation", "wanted", "seen"),
    [
        (1, {}, "rgwb"),
        (1, {"rotation": 90}, "gwbr"),
        (1, {"rotation": 180}, "wbrg"),
        (1, {"rot": 270}, "brgw"),
        (6, {}, "brgw"),
        (8, {}, "gwbr"),
        (3, {}, "wbrg"),
        (2, {}, "grbw"),
        (4, {}, "bwgr"),
        (5, {}, "rbwg"),
        (7, {}, "wgrb"),
        (6, {"rotation": 0}, "rgwb"),
        (6, {"rotation": 270}, "brgw"),
        (6, {"rotation": "270", "rot": 90}, "brgw"),
    ],
)
def test_thumb_turns_counter_clockwise_or_puts_upright(run, serve, orientation, wanted, seen):
    url = serve(encoded(picture(), "JPEG", exif=camera(orientation=orientation)))
    result, image, _ = run(THUMB, url=url, format="png", **wanted)
    assert corners(image) == seen
    assert image.size == ((40, 60) if seen in ("gwbr", "brgw", "rbwg", "wgrb") else (60, 40))
    assert (result["original_width"], result["original_height"]) == (60, 40)


def test_the_box_of_a_thumb_is_for_what_stands_upright(run, serve):
    url = serve(encoded(picture(600, 400), "JPEG", exif=camera(orientation=6)))
    assert run(THUMB, url=url, width=100)[1].size == (100, 150)
    assert run(THUMB, url=url, width=100, height=50, crop=True)[1].size == (100, 50)
    assert run(THUMB, url=url, height=30, rotation=0)[1].size == (45, 30)


def test_what_info_tells_of_the_rotation_puts_a_thumb_upright(run, serve):
    for orientation in (1, 3, 6, 8):
        url = serve(encoded(picture(), "JPEG", exif=camera(orientation=orientation)))
        _, by_itself, _ = run(THUMB, url=url, format="png")
        _, told, _ = run(THUMB, url=url, format="png", rotation=run(INFO, url=url)["rotation"])
        assert corners(by_itself) == corners(told)


def test_thumb_keeps_transparency_where_it_can(run, serve):
    image = picture(mode="RGBA")
    image.putalpha(0)
    url = serve(encoded(image, "PNG"))
    for format, pixel in {"png": (255, 0, 0, 0), "jpeg": (255, 255, 255, 255)}.items():
        _, made, _ = run(THUMB, url=url, format=format)
        assert made.convert("RGBA").getpixel((5, 5)) == pixel
    _, made, _ = run(THUMB, url=url, format="gif")
    assert made.convert("RGBA").getpixel((5, 5))[3] == 0


def test_thumb_tells_nothing_that_the_camera_noted(run, serve):
    exif = camera()
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 0.0)})
    url = serve(encoded(picture(), "JPEG", exif=exif, comment=b"at home"))
    _, image, _ = run(THUMB, url=url)
    assert not image.getexif()
    assert "comment" not in image.info


def test_thumb_of_an_animation_is_its_first_picture(run, serve):
    frames = [picture(), *(Image.new("RGB", (60, 40), colour) for colour in ("black", "blue"))]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    _, image, _ = run(THUMB, url=serve(data), format="gif")
    assert (getattr(image, "n_frames", 1), corners(image)) == (1, "rgwb")


def test_a_poster_has_a_play_button(run, serve):
    url = serve(encoded(Image.new("RGB", (200, 100), "gray"), "PNG"))
    _, image, _ = run(THUMB, url=url, poster=True, format="png")
    assert image.getpixel((100, 50)) == (255, 255, 255)
    assert max(image.getpixel((80, 50))) < 100
    assert image.getpixel((5, 5)) == (128, 128, 128)


def test_wrong_parameters_of_a_thumb_are_told_before_anything_is_fetched(error, web):
    wrong = error(THUMB, url=web.url, width=0, height=9000).details
    assert wrong == {"parameters": {"width": ["must be from 1 to 8192"], "height": ["must be from 1 to 8192"]}}
    assert error(THUMB, url=web.url, width=5, crop=True).details == {
        "parameters": {"height": ["this field is required with crop"]}
    }
    assert set(error(THUMB, rotation=45, format="tiff").details["parameters"]) == {"url", "rotation", "format"}
    assert web.requests == []


# -- what is no image -------------------------------------------------------------------------------------------------


def png_header(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def gif_header(width, height):
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0;"


def svg():
    return b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


def test_what_is_no_image_is_told_in_the_documents_words(error, serve):
    for data in (
        b"",
        b"no image",
        b"<html>",
        svg(),
        b"\x89PNG\r\n\x1a\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"\xff\xd8\xff",
    ):
        url = serve(data, "cat.jpeg")
        for entry in (INFO, THUMB):
            assert str(error(entry, url=url)) == f"File '{url}' is not a valid image file"


@pytest.mark.parametrize("format", ["TIFF", "ICO", "PPM", "PCX", "TGA", "EPS", "PDF", "ICNS", "SGI", "DDS"])
def test_formats_that_are_not_on_the_list_are_not_opened(error, serve, format):
    url = serve(encoded(picture(64, 64), format))
    assert "is not a valid image file" in str(error(INFO, url=url))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_a_truncated_image_gives_no_thumb(error, serve, format):
    data = encoded(picture(300, 200), format)
    url = serve(data[: len(data) // 2])
    assert str(error(THUMB, url=url)) == f"File '{url}' is not a valid image file"


@pytest.mark.parametrize(
    "data",
    [png_header(60_000, 60_000), png_header(2**31 - 1, 5), png_header(10_000, 9_000), gif_header(65_000, 65_000)],
)
def test_a_bomb_is_an_error_before_it_is_unpacked(error, serve, data):
    for entry in (INFO, THUMB):
        text = str(error(entry, url=serve(data)))
        assert "has too many pixels" in text or "is not a valid image file" in text
    assert "has too many pixels" in str(error(INFO, url=serve(png_header(10_000, 9_000))))


def test_a_file_that_is_too_long_is_not_taken(error, web):
    web.pages["/long"] = (200, {"Content-Length": "50000001"}, b"")
    assert "more than 50000000 bytes" in str(error(INFO, url=f"{web.url}/long"))


def test_what_cannot_be_downloaded_is_told_with_the_apis_word(error, web):
    assert str(error(INFO, url=f"{web.url}/none")).startswith(f"CouldNotDownloadError: '{web.url}/none': ")
    assert str(error(INFO, url="http://10.0.0.1/a.png")).startswith("CouldNotDownloadError: ")
