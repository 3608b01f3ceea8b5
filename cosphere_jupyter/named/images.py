"""The tasks ``image.info`` and ``image.thumb``, named and answered as in the Dragon tasks API.

An image is a stranger's file: only well-known formats are opened, with limits on bytes and pixels, in a child process.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .context import TaskContext
from .functions import TaskError, WrongParameters, task

if TYPE_CHECKING:
    from PIL import Image

MOST_BYTES = 50_000_000
LONGEST_SIDE = 8192
# The box of a thumbnail if its task names no side.
USUAL_SIDE = 256
CONTENT_TYPES = {
    "JPEG": "image/jpeg",
    # What phones write: a JPEG with more pictures behind it.
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
}
FILE_NAMES = {"jpeg": "thumb.jpg", "gif": "thumb.gif", "png": "thumb.png"}

# Tags of EXIF 2.32.
_ORIENTATION, _DATE_TIME, _EXIF = 0x0112, 0x0132, 0x8769
_EXPOSURE_TIME, _ISO_SPEED, _ORIGINAL_DATE_TIME, _FLASH, _FOCAL_LENGTH = 0x829A, 0x8827, 0x9003, 0x9209, 0x920A
# By which counter-clockwise rotation an image of this orientation stands upright; the others are mirrored.
_ROTATIONS = {1: 0, 3: 180, 6: 270, 8: 90}
# Pillow's names of what puts an image of this orientation upright, and of counter-clockwise rotations.
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_ROTATED = {0: None, 90: "ROTATE_90", 180: "ROTATE_180", 270: "ROTATE_270"}
# What makes of an upright image a lying one.
_LYING = ("ROTATE_90", "ROTATE_270", "TRANSPOSE", "TRANSVERSE")


@task(quick=True, idempotent=True)
def info(url: str, context: TaskContext) -> dict[str, Any]:
    """Tell the size, the type and what the camera noted of an image.

    ``rotation`` is counter-clockwise, in degrees, and puts the image upright; ``focal_length`` is in millimetres,
    ``exposure_time`` in seconds. What the file does not say is null.
    """
    path = context.fetch(url, MOST_BYTES).path
    with _opened(path, url) as image:
        return {
            "type": "image",
            "content_type": CONTENT_TYPES[image.format or ""],
            "width": image.width,
            "height": image.height,
            "alpha": image.has_transparency_data,
            **_notes(image),
        }


@task(quick=True, idempotent=True)
def thumb(
    url: str,
    context: TaskContext,
    width: int | None = None,
    height: int | None = None,
    crop: bool = False,
    rotation: Literal[0, 90, 180, 270, None] = None,
    rot: Literal[0, 90, 180, 270, None] = None,
    poster: bool = False,
    format: Literal["jpeg", "gif", "png"] = "jpeg",
) -> dict[str, Any]:
    """Make a small image of an image; its URL is the result's ``output``.

    It fits into ``width`` × ``height`` (one of them is enough; it is never enlarged), or fills both with ``crop``.
    ``rotation`` (once called ``rot``) turns it counter-clockwise; without one it is put upright. ``poster`` draws a
    play button over it.
    """
    box = _box(width, height, crop)
    path = context.fetch(url, MOST_BYTES).path
    with _opened(path, url) as image:
        original = image.size
        small = _small(image, rotation if rotation is not None else rot, box, crop)
    _save(_with_play_button(small) if poster else small, context.output("output", FILE_NAMES[format]), format)
    return {
        "width": small.width,
        "height": small.height,
        "original_width": original[0],
        "original_height": original[1],
    }


@contextmanager
def _opened(path: Path, url: str) -> Iterator[Image.Image]:
    """Give the image in a file; whatever fails on it within the block is the file's fault."""
    from PIL import Image

    formats = [name for name in CONTENT_TYPES if name != "MPO"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Pillow warns of 90 megapixels and refuses twice as many: here both are too many.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=formats) as image:
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise TaskError(f"InvalidImageError: File '{url}' has too many pixels") from None
    except (MemoryError, TaskError):
        raise
    except Exception:
        raise TaskError(f"File '{url}' is not a valid image file") from None


# -- what the camera noted --------------------------------------------------------------------------------------------


def _notes(image: Image.Image) -> dict[str, Any]:
    base: dict[int, Any] = {}
    exif: dict[int, Any] = {}
    # Cameras and editors write EXIF that breaks its own rules; the image is good without it.
    with suppress(Exception):
        found = image.getexif()
        base = dict(found)
        exif = dict(found.get_ifd(_EXIF))
    orientation = next((each for each in range(1, 9) if each == _number(base.get(_ORIENTATION))), None)
    flash = _number(exif.get(_FLASH))
    exposure = _number(exif.get(_EXPOSURE_TIME))
    return {
        "exif_orientation": orientation,
        "rotation": None if orientation is None else _ROTATIONS.get(orientation),
        "date_time": _text(exif.get(_ORIGINAL_DATE_TIME)) or _text(base.get(_DATE_TIME)),
        "flash": None if flash is None else bool(int(flash) & 1),
        "focal_length": _number(exif.get(_FOCAL_LENGTH)),
        "iso_speed": _number(exif.get(_ISO_SPEED)),
        "exposure_time": None if exposure is None else float(f"{exposure:.3g}"),
    }


def _number(value: Any) -> int | float | None:
    """A number of EXIF, where it may be a fraction by zero, or one of several."""
    if isinstance(value, tuple | list):
        value = value[0] if value else None
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode().strip(" \0") or None


# -- making it small --------------------------------------------------------------------------------------------------


def _box(width: int | None, height: int | None, crop: bool) -> tuple[int, int]:
    sides = {"width": width, "height": height}
    wrong = {
        name: [f"must be from 1 to {LONGEST_SIDE}"]
        for name, side in sides.items()
        if side is not None and not 1 <= side <= LONGEST_SIDE
    }
    missing = [name for name, side in sides.items() if side is None]
    if crop and len(missing) == 1:
        wrong[missing[0]] = ["this field is required with crop"]
    if wrong:
        raise WrongParameters(wrong)
    if len(missing) == 2:
        return USUAL_SIDE, USUAL_SIDE
    return width or LONGEST_SIDE, height or LONGEST_SIDE


def _small(image: Image.Image, rotation: int | None, box: tuple[int, int], crop: bool) -> Image.Image:
    """Make it small first and turn it then: the whole image is in memory once."""
    from PIL import Image, ImageOps

    turn = _turn_of(image) if rotation is None else _ROTATED[rotation]
    if turn in _LYING:
        box = box[1], box[0]
    # A JPEG can be decoded at a half, a quarter or an eighth of its size; twice the box keeps the quality.
    image.draft(None, (2 * max(box), 2 * max(box)))
    small = _plain(image)
    if crop:
        small = ImageOps.fit(small, box)
    else:
        small.thumbnail(box)
    return small if turn is None else small.transpose(Image.Transpose[turn])


def _turn_of(image: Image.Image) -> str | None:
    with suppress(Exception):
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    return None


def _plain(image: Image.Image) -> Image.Image:
    """Return it in RGB or RGBA, and read to its end."""
    image.load()
    if image.mode.startswith(("I", "F")):
        # 16 bits for each pixel, which converting would cut off at 255.
        image = image.convert("F").point(lambda value: value * (1 / 257) + 0).convert("L")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _with_play_button(image: Image.Image) -> Image.Image:
    from PIL import Image, ImageDraw

    size = max(min(image.size) // 2, 1)
    # Drawn four times as big, so that its edges are smooth.
    button = Image.new("RGBA", (4 * size, 4 * size))
    draw = ImageDraw.Draw(button)
    draw.ellipse((0, 0, 4 * size - 1, 4 * size - 1), fill=(0, 0, 0, 150))
    draw.polygon([(x * 4 * size, y * 4 * size) for x, y in ((0.38, 0.27), (0.38, 0.73), (0.76, 0.5))], fill="white")
    button = button.resize((size, size))
    over = image.convert("RGBA")
    over.alpha_composite(button, ((image.width - size) // 2, (image.height - size) // 2))
    return over if image.mode == "RGBA" else over.convert("RGB")


def _save(image: Image.Image, path: Path, format: str) -> None:
    from PIL import Image

    if format == "jpeg" and image.mode == "RGBA":
        # A JPEG knows no transparency: as on a white page.
        page = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(page, image).convert("RGB")
    # Nothing but the pixels goes into it: no place, no camera, no name.
    image.info.clear()
    image.save(path, format.upper(), **({"quality": 85} if format == "jpeg" else {"optimize": True}))
