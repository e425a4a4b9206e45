import base64
import io

import numpy as np
from PIL import Image

from noisyflywheel.audit.report.pictures import data_uri


def test_large_pictures_are_thumbnails():
    head, body = data_uri(np.full((128, 256, 3), 200, np.uint8), 64).split(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (64, 32)


def test_small_pictures_are_enlarged_by_a_whole_factor():
    uri = data_uri(np.zeros((8, 8, 3), np.uint8), 60)
    image = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert image.size == (56, 56)
    assert image.format == "PNG"
